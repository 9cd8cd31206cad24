"""Active sequences on every stage, while history is imported: nothing may be sent."""

from contextlib import ExitStack

from checks.receivers import MailServer, WebhookReceiver
from checks.report import expect
from checks.service import WORKSPACE, loopback_settings
from checks.wait import quiet, until

# An address that would be written to if anything were: the data has none.
RECIPIENT = "nobody@example.test"
# Time for the detector to look at what the import left due.
LOOK_SECONDS = 120
# And for whatever it might have started.
SETTLE_SECONDS = 3


class Silent:
    """A mail server, a webhook receiver, and sequences that would write to both; a context manager."""

    def __init__(self, api):
        self.api = api
        self.stack = ExitStack()
        self.mail = MailServer()
        self.hook = WebhookReceiver(live_secrets=1)
        self.settings = loopback_settings([self.hook.port], [RECIPIENT])
        self.sequences = 0

    def __enter__(self):
        self.stack.enter_context(self.mail)
        self.stack.enter_context(self.hook)
        return self

    def __exit__(self, *error):
        self.stack.close()

    def prepare(self, channel):
        """Sets the sender and the destinations of the workspace."""
        api = self.api
        self.channel = channel
        workspace = api.Workspace(name=WORKSPACE, sender=api.Mailbox(address="desk@example.test"))
        api.WorkspaceServiceStub(channel).UpdateWorkspace(api.UpdateWorkspaceRequest(workspace=workspace), timeout=30)
        destinations = api.DestinationServiceStub(channel)
        smtp = api.SmtpDestination(host="127.0.0.1", port=self.mail.port, tls=api.SMTP_TLS_PLAINTEXT_LOOPBACK)
        webhook = api.WebhookDestination(url=self.hook.url, secrets=self.hook.secrets, allow_http=True)
        for name, kind in (("mail", {"smtp": smtp}), ("hook", {"webhook": webhook})):
            request = api.CreateDestinationRequest(
                parent=WORKSPACE, destination_id=name, destination=api.Destination(**kind)
            )
            destinations.CreateDestination(request, timeout=30)

    def bind(self, funnel_id, funnel):
        """Starts sequences on the stall and on the abandonment of every stage that can have them."""
        for stage in funnel.stages:
            if stage.HasField("stall"):
                self.start(funnel_id, stage.id, self.api.SILENCE_KIND_STALLED)
                self.start(funnel_id, stage.id, self.api.SILENCE_KIND_ABANDONED)

    def start(self, funnel_id, stage, kind):
        """Creates and starts one sequence: a mail and a webhook, at once."""
        api = self.api
        self.sequences += 1
        mail = api.SendEmail(
            destination=f"{WORKSPACE}/destinations/mail", subject="Still there?", text="Hello.", to=RECIPIENT
        )
        hook = api.CallWebhook(destination=f"{WORKSPACE}/destinations/hook")
        sequence = api.Sequence(
            trigger=api.SequenceTrigger(funnel=f"{WORKSPACE}/funnels/{funnel_id}", stage=stage, on=kind),
            steps=[api.Step(id="mail", send_email=mail), api.Step(id="hook", call_webhook=hook)],
        )
        stub = api.SequenceServiceStub(self.channel)
        made = stub.CreateSequence(
            api.CreateSequenceRequest(parent=WORKSPACE, sequence_id=f"silent-{self.sequences}", sequence=sequence),
            timeout=30,
        )
        stub.StartSequence(api.StartSequenceRequest(name=made.sequence.name), timeout=30)

    def verify(self):
        """The detector has looked, everything it saw was history, and nobody heard of it."""
        expect(self.sequences, "no sequence was bound")
        until("history shows among the runs as skipped", self.skipped, LOOK_SECONDS)
        quiet(SETTLE_SECONDS, self.heard)
        wrong = self.heard()
        expect(not wrong, wrong)
        for state in (self.api.Run.STATE_SCHEDULED, self.api.Run.STATE_RUNNING, self.api.Run.STATE_COMPLETED):
            runs = self.runs(state)
            expect(not runs, f"a run was started: {runs[0].name if runs else ''}")

    def skipped(self):
        """Runs that are on record as skipped because their silence is history."""
        return [run for run in self.runs(self.api.Run.STATE_SKIPPED) if run.end_reason == self.api.RUN_END_REASON_HISTORY]

    def runs(self, state):
        """A page of runs in a state."""
        request = self.api.ListRunsRequest(parent=WORKSPACE, state=state)
        return self.api.RunServiceStub(self.channel).ListRuns(request, timeout=60).runs

    def heard(self):
        """What was sent or planned, in words; empty when nothing was."""
        request = self.api.ListDeliveriesRequest(parent=WORKSPACE)
        planned = self.api.DeliveryServiceStub(self.channel).ListDeliveries(request, timeout=60).deliveries
        if planned:
            return f"a delivery was written: {planned[0].name}"
        if self.mail.connections or self.mail.mails:
            return "the mail server was called"
        return "the webhook was called" if self.hook.calls else ""
