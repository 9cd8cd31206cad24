"""What a stalled conversation causes outside: one mail and one webhook call each, and nothing after the customer is back.

The mail goes to aiosmtpd; the webhook goes to an HTTP server that verifies every
call with the Standard Webhooks library for Python, against both live secrets.

    tests/python/run delivery target/debug/rekindle
"""

import argparse
import http.client
import os
import re
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from checks import database, protos
from checks.receivers import MailServer, WebhookReceiver
from checks.report import Report, equal, expect
from checks.service import WORKSPACE, Service, loopback_settings
from checks.wait import quiet, until

DOMAIN = "example.test"
SENDER = f"desk@{DOMAIN}"
# The stage stalls this long after the customer was answered; the run writes at once,
# and once more after the wait.
STALL_SECONDS = 2
WAIT_SECONDS = 8
# For everything that takes a stall, a claim and a delivery on a busy machine.
PATIENCE = 60
# How long nothing may happen before it is believed that nothing will.
QUIET_SECONDS = 4
STAYS = ("stays-0", "stays-1")
RETURNS = ("returns-0", "returns-1", "returns-2")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the rekindle program")
    parser.add_argument("--postgres", default=os.environ.get("TEST_DATABASE_URL"), help="URL of a PostgreSQL server")
    parser.add_argument("--backend", action="append", choices=("sqlite", "postgres"), help="only this database")
    options = parser.parse_args()
    backends = options.backend or (["sqlite", "postgres"] if options.postgres else ["sqlite"])
    api = protos.load()
    report = Report()
    for kind in backends:
        with MailServer() as mail, WebhookReceiver() as hook, database.of_kind(kind, options.postgres) as url:
            with Service(options.binary, url, loopback_settings([hook.port], [DOMAIN])) as service:
                Desk(api, report, kind, service, mail, hook).everything()
    return report.close()


class Desk:
    """A support desk whose answered customers stop writing."""

    def __init__(self, api, report, kind, service, mail, hook):
        self.api = api
        self.report = report
        self.kind = kind
        self.service = service
        self.channel = service.channel
        self.mail = mail
        self.hook = hook
        self.ingest = api.IngestServiceStub(self.channel)
        self.sent = Counter()

    def everything(self):
        for name, step in (
            ("a funnel, two destinations and a draft sequence are set up, secrets not given back", self.set_up),
            ("a draft writes to nobody", self.draft),
            ("every stalled conversation causes one mail and one webhook call", self.stalls),
            ("mails say who, why and how to stop", self.mails),
            ("webhook calls are signed with both secrets and tell the silence", self.calls),
            ("who came back hears nothing more, who did not hears the next step", self.returns),
            ("recipients that are not named are not written to", self.not_allowed),
            ("one click unsubscribes, a look does not", self.unsubscribes),
            ("the ledger tells what was sent", self.ledger),
        ):
            self.report.check(f"{self.kind:<10}{name}", step)

    def set_up(self):
        api = self.api
        workspace = api.Workspace(name=WORKSPACE, sender=api.Mailbox(display_name="The desk", address=SENDER))
        request = api.UpdateWorkspaceRequest(workspace=workspace)
        api.WorkspaceServiceStub(self.channel).UpdateWorkspace(request, timeout=10)
        self.create_funnel()
        self.create_destinations()
        self.create_sequence()

    def create_funnel(self):
        api = self.api
        stages = [
            api.Stage(id="asked", enter=[api.Match(event_types=["customer_message"])]),
            api.Stage(id="answered", enter=[api.Match(event_types=["agent_message"])]),
            api.Stage(id="back", enter=[api.Match(event_types=["customer_message"])]),
        ]
        stages[1].stall.owed_by = api.OWED_BY_CUSTOMER
        stages[1].stall.after.FromSeconds(STALL_SECONDS)
        request = api.CreateFunnelRequest(parent=WORKSPACE, funnel_id="desk", funnel=api.Funnel(stages=stages))
        api.FunnelServiceStub(self.channel).CreateFunnel(request, timeout=10)

    def create_destinations(self):
        api = self.api
        stub = api.DestinationServiceStub(self.channel)
        smtp = api.SmtpDestination(host="127.0.0.1", port=self.mail.port, tls=api.SMTP_TLS_PLAINTEXT_LOOPBACK)
        webhook = api.WebhookDestination(url=self.hook.url, secrets=self.hook.secrets, allow_http=True)
        for name, kind in (("mail", {"smtp": smtp}), ("hook", {"webhook": webhook})):
            request = api.CreateDestinationRequest(
                parent=WORKSPACE, destination_id=name, destination=api.Destination(**kind)
            )
            stub.CreateDestination(request, timeout=10)
        read = stub.GetDestination(
            api.GetDestinationRequest(name=f"{WORKSPACE}/destinations/hook"), timeout=10
        ).destination.webhook
        equal("secrets given back", [], list(read.secrets))
        equal("hints of live secrets", 2, len(read.secret_hints))

    def create_sequence(self):
        api = self.api
        mail, hook = f"{WORKSPACE}/destinations/mail", f"{WORKSPACE}/destinations/hook"
        first = api.SendEmail(
            destination=mail,
            subject="Did that help, {{ customer.name }}?",
            text="You asked in {{ conversation.id }}.\nStop: {{ unsubscribe_url }}",
            html="<p>Hello {{ customer.name }}</p>",
        )
        second = api.SendEmail(destination=mail, subject="Closing soon", text="Write any time.")
        wait = api.Wait()
        wait.duration.FromSeconds(WAIT_SECONDS)
        sequence = api.Sequence(
            trigger=api.SequenceTrigger(
                funnel=f"{WORKSPACE}/funnels/desk", stage="answered", on=api.SILENCE_KIND_STALLED
            ),
            steps=[
                api.Step(id="first", send_email=first),
                api.Step(id="tell", call_webhook=api.CallWebhook(destination=hook, body='{"kind": "nudge"}')),
                api.Step(id="wait", wait=wait),
                api.Step(id="second", send_email=second),
            ],
        )
        request = api.CreateSequenceRequest(parent=WORKSPACE, sequence_id="nudge", sequence=sequence)
        made = api.SequenceServiceStub(self.channel).CreateSequence(request, timeout=10).sequence
        equal("state", api.Sequence.STATE_DRAFT, made.state)

    def draft(self):
        self.ask_and_answer("draft-0")
        quiet(STALL_SECONDS + QUIET_SECONDS, lambda: self.mail.mails and "a mail was sent")
        expect(not self.hook.calls, "the webhook was called")

    def stalls(self):
        api = self.api
        name = f"{WORKSPACE}/sequences/nudge"
        api.SequenceServiceStub(self.channel).StartSequence(api.StartSequenceRequest(name=name), timeout=10)
        for conversation in STAYS + RETURNS:
            self.ask_and_answer(conversation)
        back = set()
        until("a mail and a call for everybody", lambda: self.come_back(back), PATIENCE)
        first = [mail for mail in list(self.mail.mails) if "help" in mail.message["subject"]]
        once = Counter(mail.recipients[0] for mail in first)
        equal("first mails", {address(one): 1 for one in STAYS + RETURNS}, dict(once))

    def come_back(self, back):
        """Lets each of `RETURNS` come back once they were written to; whether everybody was."""
        told = self.told()
        reached = [one for one in STAYS + RETURNS if self.mail.count()[address(one)] and told[one]]
        for conversation in set(reached) & set(RETURNS) - back:
            self.send(conversation, "customer_message", "I am back")
            back.add(conversation)
        return len(reached) == len(STAYS + RETURNS)

    def told(self):
        """Webhook calls by conversation."""
        return Counter(one for call in list(self.hook.calls) for one in STAYS + RETURNS if one in str(call.payload))

    def mails(self):
        expect(self.mail.mails, "there is no mail")
        identities = Counter(mail.message["message-id"] for mail in self.mail.mails)
        expect(all(identities), "a mail has no Message-ID")
        expect(max(identities.values()) == 1, "two mails have one Message-ID")
        for mail in self.mail.mails:
            message = mail.message
            expect(SENDER in message["from"], f"From is {message['from']}")
            equal("To", mail.recipients, [one.addr_spec for one in message["to"].addresses])
            equal("List-Unsubscribe-Post", "List-Unsubscribe=One-Click", message["list-unsubscribe-post"])
            expect(unsubscribe_path(message), f"List-Unsubscribe is {message['list-unsubscribe']}")
            if "help" in message["subject"]:
                conversation = mail.recipients[0].split("@")[0]
                equal("subject", f"Did that help, {conversation.title()}?", message["subject"])
                text = message.get_body(("plain",)).get_content()
                expect(f"You asked in {conversation}." in text, f"text is {text!r}")
                expect(message.get_body(("html",)), "there is no HTML part")

    def calls(self):
        expect(self.hook.calls, "there is no call")
        for call in self.hook.calls:
            equal(f"signature of {call.id}", "", call.wrong)
            expect("nudge" in str(call.payload), f"the payload lacks the step's own data: {call.payload}")
        equal("calls by conversation", dict.fromkeys(STAYS + RETURNS, 1), dict(self.told()))
        equal("different webhook ids", len(self.hook.calls), len({call.id for call in self.hook.calls}))

    def returns(self):
        until(
            "the second mail to who did not come back",
            lambda: all(self.mail.count()[address(one)] == 2 for one in STAYS),
            WAIT_SECONDS + PATIENCE,
        )
        quiet(QUIET_SECONDS, lambda: None)
        expected = {address(one): 2 for one in STAYS} | {address(one): 1 for one in RETURNS}
        equal("mails", expected, dict(self.mail.count()))
        equal("webhook calls", len(STAYS + RETURNS), len(self.hook.calls))
        runs = self.runs()
        for one in RETURNS:
            run = runs[one]
            equal(f"state of the run of {one}", self.api.Run.STATE_ENDED, run.state)
            ends = (self.api.RUN_END_REASON_CUSTOMER_RETURNED, self.api.RUN_END_REASON_STAGE_REACHED)
            expect(run.end_reason in ends, f"the run of {one} ended for {run.end_reason}")
        for one in STAYS:
            equal(f"state of the run of {one}", self.api.Run.STATE_COMPLETED, runs[one].state)

    def not_allowed(self):
        calls = len(self.hook.calls)
        self.ask_and_answer("stranger-0", "stranger@elsewhere.test")
        until("the webhook call", lambda: len(self.hook.calls) > calls, PATIENCE)
        delivery = until("the mail's delivery has settled", lambda: self.settled("stranger-0"), PATIENCE)
        equal("state of the delivery", self.api.Delivery.STATE_SUPPRESSED, delivery.state)
        expect("stranger@elsewhere.test" not in self.mail.count(), "a mail was sent")

    def unsubscribes(self):
        recipient = address(STAYS[0])
        mail = next(mail for mail in self.mail.mails if recipient in mail.recipients)
        path = unsubscribe_path(mail.message)
        equal("status of a look", 200, self.http("GET", path))
        equal("suppressions after a look", 0, len(self.suppressions(recipient)))
        equal("status of one click", 200, self.http("POST", path, "List-Unsubscribe=One-Click"))
        equal("suppressions after a click", 1, len(self.suppressions(recipient)))
        equal("status of another click", 200, self.http("POST", path, "List-Unsubscribe=One-Click"))
        equal("suppressions after another", 1, len(self.suppressions(recipient)))
        forged = path[:-1] + ("A" if path[-1] != "A" else "B")
        expect(self.http("POST", forged, "List-Unsubscribe=One-Click") in (400, 403, 404), "a forged link is taken")
        before, calls = self.mail.count()[recipient], len(self.hook.calls)
        self.ask_and_answer("again-0", recipient)
        until("the webhook call", lambda: len(self.hook.calls) > calls, PATIENCE)
        delivery = until("the mail's delivery has settled", lambda: self.settled("again-0"), PATIENCE)
        equal("state of the delivery", self.api.Delivery.STATE_SUPPRESSED, delivery.state)
        equal("mails", before, self.mail.count()[recipient])

    def ledger(self):
        delivered = [one for one in self.deliveries() if one.state == self.api.Delivery.STATE_DELIVERED]
        equal("delivered", len(self.mail.mails) + len(self.hook.calls), len(delivered))
        for delivery in delivered:
            equal(f"attempts of {delivery.name}", 1, len(delivery.attempts))
        ids = {mail.message["message-id"].strip("<>") for mail in self.mail.mails} | {call.id for call in self.hook.calls}
        equal("message ids", ids, {delivery.message_id.strip("<>") for delivery in delivered})

    def ask_and_answer(self, conversation, email=None):
        """A customer asks, is answered, and falls silent."""
        event = self.event(conversation, "customer_updated")
        event.ClearField("conversation")
        event.properties["email"] = email or address(conversation)
        event.properties["name"] = conversation.title()
        self.ingest_all([event])
        self.send(conversation, "customer_message", "it does not start")
        self.send(conversation, "agent_message", "try this")

    def send(self, conversation, kind, text):
        event = self.event(conversation, kind)
        event.text = text
        self.ingest_all([event])

    def event(self, conversation, kind):
        self.sent[conversation] += 1
        number = self.sent[conversation]
        customer = f"c-{conversation}"
        event = self.api.Event(
            id=f"{conversation}-{number}", conversation=conversation, customer=customer, type=kind, sequence=number
        )
        event.occur_time.FromDatetime(datetime.now(UTC))
        return event

    def ingest_all(self, events):
        answer = self.ingest.IngestEvents(self.api.IngestEventsRequest(parent=WORKSPACE, events=events), timeout=10)
        equal("accepted", len(events), answer.accepted_count)

    def runs(self):
        """The latest run of each conversation."""
        request = self.api.ListRunsRequest(parent=WORKSPACE, page_size=1000)
        runs = self.api.RunServiceStub(self.channel).ListRuns(request, timeout=10).runs
        return {run.conversation.rsplit("/", 1)[1]: run for run in runs}

    def deliveries(self, **conditions):
        request = self.api.ListDeliveriesRequest(parent=WORKSPACE, page_size=1000, **conditions)
        return self.api.DeliveryServiceStub(self.channel).ListDeliveries(request, timeout=10).deliveries

    def settled(self, conversation):
        """The mail's delivery of a conversation, once it is neither planned nor on its way."""
        name = f"{WORKSPACE}/conversations/{conversation}"
        states = self.api.Delivery
        for delivery in self.deliveries(conversation=name):
            moving = (states.STATE_SCHEDULED, states.STATE_SENDING)
            if delivery.kind == self.api.DELIVERY_KIND_EMAIL and delivery.state not in moving:
                return delivery
        return None

    def suppressions(self, recipient):
        request = self.api.ListSuppressionsRequest(parent=WORKSPACE, address=recipient)
        return self.api.SuppressionServiceStub(self.channel).ListSuppressions(request, timeout=10).suppressions

    def http(self, method, path, body=None):
        """The status of a request to the service's HTTP port; redirects are not followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.service.http_port, timeout=10)
        try:
            headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


def address(conversation):
    """The address of a conversation's customer."""
    return f"{conversation}@{DOMAIN}"


def unsubscribe_path(message):
    """Path and query of the one-click link; empty when there is none."""
    link = re.search(r"<(https?://[^>]+)>", message["list-unsubscribe"] or "")
    if not link:
        return ""
    parts = urlsplit(link.group(1))
    return parts.path + (f"?{parts.query}" if parts.query else "")


if __name__ == "__main__":
    sys.exit(main())
