"""The clock of a running service is set an hour back and a day forward: every message goes out once.

libfaketime (Debian: faketime) stands between the program and its clock, and a file moves it.
On SQLite the database's clock is the program's own; on PostgreSQL it is the server's, which
stays as it is.

    tests/python/run clock target/debug/rekindle
"""

import argparse
import glob
import os
import sys
import tempfile
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from checks import database, protos
from checks.receivers import Call, WebhookReceiver
from checks.report import Report, equal, expect
from checks.service import WORKSPACE, Service, loopback_settings
from checks.wait import quiet, until

LIBRARY = "/usr/lib/*/faketime/libfaketimeMT.so.1"
# The stage stalls this long after the customer was answered; the second call follows the first by the wait.
STALL_SECONDS = 4
WAIT_SECONDS = 4
# For everything that takes a stall, a claim and a call on a busy machine.
PATIENCE = 90
# How long nothing may happen before it is believed that nothing will.
QUIET_SECONDS = 5
# Conversations of a round, and how often each is written to.
EACH, CALLS = 12, 2
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the rekindle program")
    parser.add_argument("--postgres", default=os.environ.get("TEST_DATABASE_URL"), help="URL of a PostgreSQL server")
    options = parser.parse_args()
    api = protos.load()
    report = Report()
    library = sorted(glob.glob(LIBRARY))
    if not library:
        report.fail("libfaketime", f"there is no {LIBRARY}: apt-get install faketime")
        return report.close()
    for kind in ("sqlite", "postgres") if options.postgres else ("sqlite",):
        with Clock(library[0]) as clock, Receiver() as hook, database.of_kind(kind, options.postgres) as url:
            with Service(options.binary, url, loopback_settings([hook.port], []) | clock.settings()) as service:
                Desk(api, report, kind, service, hook, clock).everything()
    return report.close()


class Clock:
    """What the service takes for the time; a context manager."""

    def __init__(self, library):
        self.preload = library
        self.shift = timedelta()

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="rekindle-clock-")
        self.file = Path(self.folder.name, "shift")
        self.set(timedelta())
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def settings(self):
        """The environment in which a program sees this clock; its monotonic clock is left alone."""
        return {
            "LD_PRELOAD": self.preload,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, shift):
        """Sets the clock so far from the real one. The file is replaced whole: it is read all the time."""
        self.shift = shift
        whole = self.file.with_suffix(".new")
        whole.write_text(f"{shift.total_seconds():+.0f}s\n")
        whole.rename(self.file)


class Receiver(WebhookReceiver):
    """Counts calls. Their timestamps are the service's, which is a day ahead: nobody would verify them."""

    def __init__(self):
        super().__init__(live_secrets=1)
        self.open = threading.Event()
        self.open.set()

    def take(self, body, headers):
        self.calls.append(Call(headers.get("webhook-id", ""), body, ""))
        self.open.wait(60)


class Desk:
    """A desk whose answered customers stop writing, round after round."""

    def __init__(self, api, report, kind, service, hook, clock):
        self.api = api
        self.report = report
        self.kind = kind
        self.service = service
        self.hook = hook
        self.clock = clock
        self.sent = []

    def everything(self):
        for name, step in (
            ("a desk is set up", self.set_up),
            ("with the clock as it is, each conversation causes its calls once", lambda: self.round("plain")),
            ("an hour back while silences run", lambda: self.round("back", -HOUR)),
            ("back to the right time", lambda: self.round("right", timedelta())),
            ("an hour back while calls are under way", lambda: self.held("held-back", -HOUR)),
            ("back to the right time again", lambda: self.round("right-again", timedelta())),
            ("a day forward while silences run", lambda: self.round("forward", DAY)),
            ("and once more while calls are under way", lambda: self.held("held-forward", 2 * DAY)),
            ("two days back: the service goes on from where it was", lambda: self.round("two-back", timedelta())),
            ("nothing was called twice, nothing is missing", self.counts),
        ):
            self.report.check(f"{self.kind:<10}{name}", step)

    def set_up(self):
        api, channel = self.api, self.service.channel
        stages = [
            api.Stage(id="asked", enter=[api.Match(event_types=["customer_message"])]),
            api.Stage(id="answered", enter=[api.Match(event_types=["agent_message"])]),
            api.Stage(id="back", enter=[api.Match(event_types=["purchase"])]),
        ]
        stages[1].stall.owed_by = api.OWED_BY_CUSTOMER
        stages[1].stall.after.FromSeconds(STALL_SECONDS)
        request = api.CreateFunnelRequest(parent=WORKSPACE, funnel_id="desk", funnel=api.Funnel(stages=stages))
        api.FunnelServiceStub(channel).CreateFunnel(request, timeout=10)
        webhook = api.WebhookDestination(url=self.hook.url, secrets=self.hook.secrets, allow_http=True)
        request = api.CreateDestinationRequest(
            parent=WORKSPACE, destination_id="hook", destination=api.Destination(webhook=webhook)
        )
        api.DestinationServiceStub(channel).CreateDestination(request, timeout=10)
        call = api.CallWebhook(destination=f"{WORKSPACE}/destinations/hook")
        steps = [
            api.Step(id="first", call_webhook=call),
            api.Step(id="pause"),
            api.Step(id="second", call_webhook=call),
        ]
        steps[1].wait.duration.FromSeconds(WAIT_SECONDS)
        sequence = api.Sequence(steps=steps)
        sequence.trigger.funnel, sequence.trigger.stage = f"{WORKSPACE}/funnels/desk", "answered"
        sequence.trigger.on = api.SILENCE_KIND_STALLED
        # A jump of a day must not make stale what it jumps over: nothing may be lost.
        sequence.max_delay.FromTimedelta(timedelta(days=5))
        stub = api.SequenceServiceStub(channel)
        stub.CreateSequence(
            api.CreateSequenceRequest(parent=WORKSPACE, sequence_id="nudge", sequence=sequence), timeout=10
        )
        stub.StartSequence(api.StartSequenceRequest(name=f"{WORKSPACE}/sequences/nudge"), timeout=10)

    def round(self, name, shift=None):
        """Conversations are answered, the clock is set, and every call comes once."""
        self.answer(name)
        if shift is not None:
            self.clock.set(shift)
        self.settled()

    def held(self, name, shift):
        """The same, with the first calls under way when the clock is set."""
        before = len(self.hook.calls)
        self.hook.open.clear()
        self.answer(name)
        until("calls are under way", lambda: len(self.hook.calls) > before, PATIENCE)
        self.clock.set(shift)
        # Time in which a lease could be believed to have run out.
        quiet(QUIET_SECONDS, lambda: None)
        self.hook.open.set()
        self.settled()

    def answer(self, round_name):
        """Conversations that are asked and answered at this moment, by the clock of the service."""
        api, events = self.api, []
        for number in range(EACH):
            conversation = f"{round_name}-{number}"
            self.sent.append(conversation)
            for kind in ("customer_message", "agent_message"):
                event = api.Event(
                    id=f"{conversation}-{kind}", conversation=conversation, customer=conversation, type=kind
                )
                event.occur_time.FromDatetime(self.service_time())
                events.append(event)
        answer = api.IngestServiceStub(self.service.channel).IngestEvents(
            api.IngestEventsRequest(parent=WORKSPACE, events=events), timeout=20
        )
        equal("accepted", len(events), answer.accepted_count)

    def service_time(self):
        """The time by which the service works: that of its newest conversation, else the real one.

        It never goes back, whatever is done to its clock, so that clients ask it.
        """
        api = self.api
        name = f"{WORKSPACE}/customers/clock"
        request = api.UpdateCustomerAttributesRequest(name=name)
        request.attributes["asked"] = len(self.sent)
        stub = api.CustomerServiceStub(self.service.channel)
        stub.UpdateCustomerAttributes(request, timeout=10)
        customer = stub.GetCustomer(api.GetCustomerRequest(name=name), timeout=10).customer
        return (
            customer.last_event_time.ToDatetime(tzinfo=UTC)
            if customer.HasField("last_event_time")
            else datetime.now(UTC)
        )

    def settled(self):
        """Every call that is owed has come, and no other comes."""
        owed = CALLS * len(self.sent)
        until(f"{owed} calls", lambda: len(self.calls()) >= owed, PATIENCE)
        quiet(QUIET_SECONDS, lambda: f"{self.twice()} came twice" if self.twice() else None)
        self.counts()

    def calls(self):
        """Ids of calls, each as often as it came."""
        return Counter(call.id for call in list(self.hook.calls))

    def twice(self):
        """Ids that came more than once."""
        return [call for call, count in self.calls().items() if count > 1]

    def counts(self):
        equal("calls that came twice", [], self.twice())
        equal("calls", CALLS * len(self.sent), len(self.calls()))
        api = self.api
        runs = (
            api.RunServiceStub(self.service.channel)
            .ListRuns(api.ListRunsRequest(parent=WORKSPACE, page_size=1_000), timeout=20)
            .runs
        )
        equal("runs", len(self.sent), len(runs))
        equal("runs for each conversation", 1, max(Counter(run.conversation for run in runs).values()))
        expect(
            all(run.state == api.Run.STATE_COMPLETED for run in runs),
            f"states {Counter(api.Run.State.Name(run.state) for run in runs)}",
        )


if __name__ == "__main__":
    sys.exit(main())
