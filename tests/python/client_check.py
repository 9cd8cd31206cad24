"""A gRPC client that is not Rust, made from the published protos: funnels, streams, figures, errors, reflection, health.

    tests/python/run client target/debug/rekindle
"""

import argparse
import http.client
import os
import struct
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from checks import database, protos
from checks.errors import read, refused
from checks.reflection import VERSIONS, Reflection, serves
from checks.report import Report, equal, expect
from checks.service import WORKSPACE, Service
from checks.wait import until

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FUNNEL = f"{WORKSPACE}/funnels/first-answer"
# Conversations of the stream: all are asked, half are answered, every fourth says thanks.
CONVERSATIONS = 40
BATCH = 25
# How long health may take to notice that the database went away, or came back.
HEALTH_SECONDS = 30

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the rekindle program")
    parser.add_argument("--postgres", default=os.environ.get("TEST_DATABASE_URL"), help="URL of a PostgreSQL server")
    options = parser.parse_args()
    api = protos.load()
    report = Report()
    with database.sqlite() as url, Service(options.binary, url) as service:
        Client(api, report, service).everything()
    if options.postgres:
        with database.postgres(options.postgres) as url, Service(options.binary, url) as service:
            name = "health tells the truth when the database goes away"
            report.check(name, outage, api, service, options.postgres, url)
    else:
        report.note("postgres: skipped")
    return report.close()


class Client:
    """What a backend does with a new service."""

    def __init__(self, api, report, service):
        self.api = api
        self.report = report
        self.service = service
        self.channel = service.channel
        self.funnels = api.FunnelServiceStub(self.channel)
        self.ingest = api.IngestServiceStub(self.channel)
        self.metrics = api.MetricsServiceStub(self.channel)

    def everything(self):
        check = self.report.check
        check("health is SERVING, and unknown services are unknown", self.health)
        for version in VERSIONS:
            check(f"reflection {version} lists the services", self.lists, version)
            check(f"reflection {version} describes a method well enough to call it", self.describes, version)
        check("a funnel is created from a definition", self.creates)
        check("a stream of events is acknowledged batch by batch", self.streams)
        check("sending the stream again changes nothing", self.repeats)
        check("an event that is wrong is rejected by its place and fields, the others are taken", self.rejects)
        check("figures are those of the events", self.figures)
        check("the subjects behind a number are listed, page by page", self.lists_subjects)
        check("an invalid funnel is refused whole, every wrong field named", self.invalid_funnel)
        check("errors say what is missing, taken, out of range", self.other_errors)
        check("bytes that are no message are refused as such", self.malformed)
        check("gRPC-Web is answered on the same port", self.grpc_web)

    def health(self):
        serving = health_pb2.HealthCheckResponse.SERVING
        equal("health", serving, self.service.health())
        equal("health of the ingest service", serving, self.service.health("rekindle.v1.IngestService"))
        expect(self.service.health("no.such.Service") != serving, "a service that does not exist is said to serve")

    def lists(self, version):
        services = Reflection(self.channel, version).services()
        for name in ("Funnel", "Ingest", "Metrics", "Conversation", "Customer", "Workspace"):
            expect(f"rekindle.v1.{name}Service" in services, f"{name}Service is not listed in {services}")
        expect("grpc.health.v1.Health" in services, f"health is not listed in {services}")

    def describes(self, version):
        answer = Reflection(self.channel, version).unary(
            "rekindle.v1.FunnelService", "ListFunnelTemplates", parent="workspaces/default")
        expect(any(one.template == "support" for one in answer.templates), "no template `support`")

    def creates(self):
        api = self.api
        funnel = api.Funnel(
            display_name="First answer",
            stages=[
                stage(api, "asked", "customer_message"),
                stage(api, "answered", "agent_message"),
                stage(api, "thanked", "customer_message", 'event.text.lowerAscii().contains("thank")'),
            ],
            breakdowns=[api.Property(scope=api.PROPERTY_SCOPE_EVENT, key="plan")],
        )
        funnel.conversion_window.FromTimedelta(timedelta(days=7))
        request = api.CreateFunnelRequest(parent=WORKSPACE, funnel_id="first-answer", funnel=funnel)
        made = self.funnels.CreateFunnel(request, timeout=10).funnel
        equal("name", FUNNEL, made.name)
        equal("revision", 1, made.revision)
        expect(made.etag, "the funnel has no etag")
        read_back = self.funnels.GetFunnel(api.GetFunnelRequest(name=FUNNEL), timeout=10).funnel
        equal("the funnel as read", made, read_back)

    def streams(self):
        accepted, duplicates, committed = self.send()
        equal("accepted", len(self.events()), accepted)
        equal("duplicates", 0, duplicates)
        expect(committed == sorted(committed), f"acknowledgements go back: {committed}")

    def repeats(self):
        accepted, duplicates, _ = self.send()
        equal("accepted", 0, accepted)
        equal("duplicates", len(self.events()), duplicates)

    def send(self):
        """Sends every event over one stream and waits for the last acknowledgement."""
        events = self.events()
        batches = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
        requests = (
            self.api.StreamEventsRequest(parent=WORKSPACE if number == 1 else "", sequence=number, events=batch)
            for number, batch in enumerate(batches, 1)
        )
        accepted, duplicates, committed = 0, 0, []
        for answer in self.ingest.StreamEvents(requests, timeout=60):
            equal("rejections", 0, len(answer.rejections))
            accepted += answer.accepted_count
            duplicates += answer.duplicate_count
            committed.append(answer.committed_sequence)
        equal("last acknowledged batch", len(batches), committed[-1] if committed else None)
        return accepted, duplicates, committed

    def events(self):
        """The conversations' messages, newest conversation first: order does not matter."""
        made = []
        for number in reversed(range(CONVERSATIONS)):
            made.append(self.event(number, "asked", "customer_message", 0, "it does not start"))
            if number % 2 == 0:
                made.append(self.event(number, "answered", "agent_message", 60 + number, "try this"))
            if number % 4 == 0:
                made.append(self.event(number, "thanked", "customer_message", 600, "Thanks a lot"))
        return made

    def event(self, number, name, kind, seconds, text):
        conversation, customer = f"conversation {number}/ü", f"customer {number % 7}"
        event = self.api.Event(
            id=f"{number}-{name}", conversation=conversation, customer=customer, type=kind, text=text
        )
        event.occur_time.FromDatetime(START + timedelta(hours=number, seconds=seconds))
        event.properties["plan"] = "pro" if number % 8 == 0 else "free"
        return event

    def rejects(self):
        api = self.api
        good = self.event(1, "note", "note", 5, "called back")
        bad = api.Event(id="bad", conversation="c", type="rekindle.secret")
        bad.occur_time.FromDatetime(datetime(1999, 1, 1, tzinfo=UTC))
        reused = self.event(0, "asked", "customer_message", 0, "another text")
        request = api.IngestEventsRequest(parent=WORKSPACE, events=[good, bad, reused])
        answer = self.ingest.IngestEvents(request, timeout=10)
        equal("accepted", 1, answer.accepted_count)
        equal("rejected places", [1, 2], sorted(rejection.index for rejection in answer.rejections))
        reasons = {rejection.index: rejection.reason for rejection in answer.rejections}
        equal("reason of the wrong one", api.ERROR_REASON_EVENT_INVALID, reasons[1])
        equal("reason of the reused id", api.ERROR_REASON_EVENT_ID_REUSED, reasons[2])
        (fields,) = [rejection.field_violations for rejection in answer.rejections if rejection.index == 1]
        named = sorted(violation.field for violation in fields)
        for name in ("type", "occurTime"):
            expect(any(path.endswith(name) for path in named), f"field {name} is not named; named are {named}")

    def figures(self):
        request = self.api.QueryFunnelRequest(funnel=FUNNEL)
        request.breakdowns.add(property=self.api.Property(scope=self.api.PROPERTY_SCOPE_EVENT, key="plan"))
        answer = self.metrics.QueryFunnel(request, timeout=30)
        answered = [60 + number for number in range(0, CONVERSATIONS, 2)]
        expect(answer.complete, "the answer says that it is not complete")
        equal("reached", [40, 20, 10], [stage.reached for stage in answer.figures.stages])
        equal("converted", (10, 40), (answer.figures.converted.numerator, answer.figures.converted.denominator))
        times = answer.figures.stages[1].time_from_previous
        equal("answers timed", len(answered), times.n)
        equal("mean seconds to the answer", sum(answered) / len(answered), times.mean_seconds)
        equal("median seconds to the answer", 79.0, times.p50_seconds)
        groups = {group.value: [stage.reached for stage in group.stages] for group in answer.breakdowns[0].groups}
        equal("by plan", {"free": [35, 15, 5], "pro": [5, 5, 5]}, groups)

    def lists_subjects(self):
        api = self.api
        request = api.ListFunnelSubjectsRequest(
            funnel=FUNNEL, stage="answered", figure=api.FUNNEL_FIGURE_REACHED, page_size=7
        )
        names = []
        while True:
            page = self.metrics.ListFunnelSubjects(request, timeout=30)
            names += [subject.name for subject in page.subjects]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        equal("subjects", 20, len(set(names)))
        equal("subjects with repetitions", 20, len(names))
        conversation = api.ConversationServiceStub(self.channel).GetConversation(
            api.GetConversationRequest(name=names[0]), timeout=10
        ).conversation
        equal("a listed name can be read", names[0], conversation.name)

    def invalid_funnel(self):
        api = self.api
        wrong = api.Funnel(
            stages=[
                stage(api, "asked", "customer_message"),
                stage(api, "asked", "agent_message", "event.text.contains("),
                stage(api, "Thanked!", "customer_message"),
            ]
        )
        wrong.stages[0].window.FromSeconds(60)
        wrong.stages[1].requires.append("nowhere")
        request = api.CreateFunnelRequest(parent=WORKSPACE, funnel_id="wrong", funnel=wrong)
        refused(
            lambda: self.funnels.CreateFunnel(request, timeout=10),
            INVALID,
            "FUNNEL_INVALID",
            [
                "stages[0].window",
                "stages[1].id",
                "stages[1].enter[0].where",
                "stages[1].requires[0]",
                "stages[2].id",
            ],
        )
        missing = lambda: self.funnels.GetFunnel(api.GetFunnelRequest(name=f"{WORKSPACE}/funnels/wrong"), timeout=10)
        refused(missing, grpc.StatusCode.NOT_FOUND, "FUNNEL_NOT_FOUND")

    def other_errors(self):
        api = self.api
        twice = api.CreateFunnelRequest(parent=WORKSPACE, funnel_id="first-answer")
        twice.funnel.stages.extend([stage(api, "one", "a"), stage(api, "two", "b")])
        refused(lambda: self.funnels.CreateFunnel(twice, timeout=10), grpc.StatusCode.ALREADY_EXISTS, "FUNNEL_EXISTS")
        negative = api.ListFunnelsRequest(parent=WORKSPACE, page_size=-1)
        refused(lambda: self.funnels.ListFunnels(negative, timeout=10), INVALID, "FIELD_INVALID", ["pageSize"])
        token = api.ListFunnelsRequest(parent=WORKSPACE, page_token="bm90IG91cnM")
        refused(lambda: self.funnels.ListFunnels(token, timeout=10), INVALID, "PAGE_TOKEN_INVALID")
        elsewhere = api.ListFunnelsRequest(parent="workspaces/elsewhere")
        refused(
            lambda: self.funnels.ListFunnels(elsewhere, timeout=10), grpc.StatusCode.NOT_FOUND, "WORKSPACE_NOT_FOUND"
        )
        filtered = api.QueryFunnelRequest(funnel=FUNNEL, filter="event.nothing ==")
        refused(lambda: self.metrics.QueryFunnel(filtered, timeout=10), INVALID, "FIELD_INVALID", ["filter"])
        empty = api.IngestEventsRequest(parent=WORKSPACE)
        refused(lambda: self.ingest.IngestEvents(empty, timeout=10), INVALID, "FIELD_INVALID", ["events"])
        stale = api.UpdateFunnelRequest(funnel=api.Funnel(name=FUNNEL, etag="stale", description="new"))
        refused(lambda: self.funnels.UpdateFunnel(stale, timeout=10), grpc.StatusCode.ABORTED, "STALE_ETAG")
        backwards = [api.StreamEventsRequest(parent=WORKSPACE, sequence=n, events=self.events()[:1]) for n in (2, 1)]
        refused(
            lambda: list(self.ingest.StreamEvents(iter(backwards), timeout=10)), INVALID, "STREAM_SEQUENCE_INVALID"
        )

    def malformed(self):
        error = serves(self.channel, "/rekindle.v1.FunnelService/CreateFunnel", b"\xff\xff\xff\xff")
        expect(error is not None, "an answer came")
        found = read(error)
        equal("code", INVALID.name, found.code.name)
        equal("reasons", ["REQUEST_MALFORMED"], [info.reason for info in found.infos])

    def grpc_web(self):
        request = self.api.GetFunnelRequest(name=FUNNEL).SerializeToString()
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=10)
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        body = b"\0" + struct.pack(">I", len(request)) + request
        connection.request("POST", "/rekindle.v1.FunnelService/GetFunnel", body, headers)
        answer = connection.getresponse()
        equal("status", 200, answer.status)
        frames = answer.read()
        (length,) = struct.unpack(">I", frames[1:5])
        got = self.api.GetFunnelResponse.FromString(frames[5 : 5 + length])
        equal("funnel", FUNNEL, got.funnel.name)
        connection.close()


def outage(api, service, server, url):
    """Takes the database away under a running service and gives it back."""
    name = url.rsplit("/", 1)[1].split("?")[0]
    serving = health_pb2.HealthCheckResponse.SERVING
    stub = api.FunnelServiceStub(service.channel)
    request = api.ListFunnelsRequest(parent=WORKSPACE)
    stub.ListFunnels(request, timeout=10)
    database.administer(server, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    try:
        database.administer(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        until("health says NOT_SERVING", lambda: service.health() not in (serving, None), HEALTH_SECONDS)
        found = refused(
            lambda: stub.ListFunnels(request, timeout=30), grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"
        )
        expect(found.retry, "the error does not say when to retry")
    finally:
        database.administer(server, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
    until("health says SERVING again", lambda: service.health() == serving, HEALTH_SECONDS)
    stub.ListFunnels(request, timeout=30)


def stage(api, stage_id, event_type, where=""):
    """A stage entered by one type of event."""
    return api.Stage(id=stage_id, enter=[api.Match(event_types=[event_type], where=where)])


if __name__ == "__main__":
    sys.exit(main())
