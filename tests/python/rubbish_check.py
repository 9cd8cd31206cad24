"""Rubbish to every method, over the wire, on the command line and in files: the documented answer, and nothing breaks.

tests/python/run rubbish target/debug/rekindle
"""

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

from google.protobuf import message_factory
from grpc_health.v1 import health_pb2

from checks import database, protos
from checks.reflection import Reflection
from checks.report import Report, equal, expect
from checks.service import Service
from rubbish import (
    cli,
    desk,
    destinations,
    events,
    fields,
    files,
    funnels,
    names,
    questions,
    sequences,
    settings,
    texts,
    wire,
)
from rubbish.build import made
from rubbish.case import OK, Caller

# Cases in flight: enough that a debug build on two cores is busy, few enough that none is shed.
THREADS = 4
# Failures shown for one group of cases.
SHOWN = 25
# What a healthy service never writes.
BROKEN = ("panicked", "a fault of ours", "stack overflow", "SIGSEGV")
FEWEST = 1_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the rekindle program")
    parser.add_argument("--postgres", default=os.environ.get("TEST_DATABASE_URL"), help="URL of a PostgreSQL server")
    parser.add_argument("--only", default="", help="groups whose name contains this")
    options = parser.parse_args()
    api = protos.load()
    report = Report()
    for kind in ("sqlite", "postgres"):
        if kind == "postgres" and not options.postgres:
            report.note("postgres: skipped")
            continue
        with (
            database.of_kind(kind, options.postgres) as url,
            Service(options.binary, url, {"REKINDLE__DELIVERY__ALLOW_HTTP": "false"}) as service,
        ):
            Rubbish(api, report, service, kind, options.only).everything()
    return report.close()


class Rubbish:
    """All cases against one service."""

    def __init__(self, api, report, service, kind, only):
        self.api = api
        self.report = report
        self.service = service
        self.kind = kind
        self.only = only
        self.methods = described(service.channel)
        self.caller = Caller(service.channel, self.methods)
        self.met = Counter()

    def everything(self):
        started = time.monotonic()
        valid = desk.set_up(self.caller, self.methods)
        api, methods = self.api, self.methods
        webhook = made(methods, "DestinationService/CreateDestination", "destination", desk.WEBHOOK)
        smtp = made(methods, "DestinationService/CreateDestination", "destination", desk.SMTP)

        def stage(stage_id):
            return api_stage(valid, stage_id)

        self.group("what is good is taken", desk.good(valid))
        self.group("names of resources", names.cases(valid))
        self.group("names of revisions", names.revisions(valid))
        self.group("pages", fields.pages(valid, self.tokens(valid)))
        self.group("enumerations", fields.enums(valid))
        self.group("instants and durations", fields.times(valid))
        self.group("texts", texts.cases(valid, methods))
        self.group("events", events.cases(api, valid))
        self.group("batches and streams", events.batches(valid))
        self.group("funnels", funnels.funnels(valid, stage))
        self.group("changes of funnels", funnels.changes(valid))
        self.group("sequences and templates", sequences.sequences(valid))
        self.group("destinations", destinations.destinations(valid, smtp, webhook))
        self.group("settings", settings.settings(valid, calendar_of(methods)))
        self.group("questions", questions.metrics(valid))
        self.group("filters", questions.filters(valid))
        self.group("attributes and previews", questions.attributes(valid))
        self.group("suppressions", questions.suppressions(valid))
        self.group("bytes", wire.cases(valid, methods))
        self.group("depths", wire.depths())
        self.check("requests over HTTP/1.1", wire.requests(valid), self.over_http)
        self.check("command lines", cli.cases(), lambda case: cli.try_case(self.service, case))
        self.check("files", files.cases(), lambda case: files.try_case(self.service, case))
        if not self.only:
            self.report.check(f"{self.kind}: every method met rubbish", self.covers)
        self.group("what is good is still taken", desk.good(valid), "")
        self.report.check(f"{self.kind}: the service stands, and its log tells of no fault", self.stands)
        took, name = self.caller.slowest
        self.report.note(
            f"{self.kind}: {self.met.total()} cases in {time.monotonic() - started:.0f} s; slowest {took:.1f} s: {name}"
        )

    def group(self, name, cases, only=None):
        """Runs cases of gRPC and reports on them in one line."""

        def count(case):
            self.met[case.method] += case.want is not OK
            return self.caller.try_case(case)

        self.check(name, cases, count, only)

    def check(self, name, cases, test, only=None):
        """Runs cases of any kind; `test` says what is wrong with one, or None."""
        if (self.only if only is None else only) not in name:
            return
        cases = list(cases)
        with ThreadPoolExecutor(THREADS) as pool:
            wrong = [(case, why) for case, why in zip(cases, pool.map(test, cases), strict=True) if why]
        title = f"{self.kind}: {name}: {len(cases)} cases"
        if not wrong:
            self.report.ok(title)
            return
        for case, why in wrong[:SHOWN]:
            self.report.note(f"{told(case)}: {why}")
        self.report.fail(title, f"{len(wrong)} are answered otherwise")

    def over_http(self, case):
        """A request over HTTP/1.1 is answered, by HTTP or by gRPC, and not with a fault."""
        _, path, body, headers, method = case
        self.met["HTTP"] += 1
        status, got, answer = wire.web(self.service.port, path, body, headers, method)
        code = wire.said(got, answer)
        if status >= 500 or code in (2, 13, 15):
            return f"HTTP {status}, gRPC {code}"
        return None

    def tokens(self, valid):
        """Real page tokens, by method."""
        found = {}
        for method in (
            "FunnelService/ListFunnels",
            "FunnelService/ListFunnelTemplates",
            "SequenceService/ListSequences",
        ):
            call = self.service.channel.unary_unary(
                f"/rekindle.v1.{method}", lambda it: it.SerializeToString(), self.methods[method].output.FromString
            )
            request = type(valid[method])()
            request.CopyFrom(valid[method])
            request.page_size = 1
            found[method] = call(request, timeout=20).next_page_token
            expect(found[method], f"{method} gives no token")
        return found

    def covers(self):
        """Every method that the service describes was sent something that is wrong."""
        missed = sorted(set(self.methods) - {method for method, count in self.met.items() if count})
        equal("methods without a case", [], missed)
        expect(self.met.total() >= FEWEST, f"only {self.met.total()} cases")

    def stands(self):
        equal("health", health_pb2.HealthCheckResponse.SERVING, self.service.health())
        expect(self.service.process.poll() is None, "the service has ended")
        log = self.service.tail(100_000)
        told = [line for line in log.splitlines() if any(word in line for word in BROKEN)]
        expect(not told, f"{len(told)} lines such as {told[:3]}")


def described(channel):
    """Every method of ours that reflection tells of, with the classes of its messages."""
    found = {}
    reflection = Reflection(channel, "v1")
    for service in reflection.services():
        if not service.startswith("rekindle."):
            continue
        for method in reflection.describe(service).FindServiceByName(service).methods:
            found[f"{service.rsplit('.', 1)[1]}/{method.name}"] = SimpleNamespace(
                input=message_factory.GetMessageClass(method.input_type),
                output=message_factory.GetMessageClass(method.output_type),
                streaming=method.client_streaming,
            )
    return found


def api_stage(valid, stage_id):
    """A plain stage."""
    stage = type(valid["FunnelService/CreateFunnel"].funnel.stages[0])(id=stage_id)
    stage.enter.add(event_types=["a"])
    return stage


def calendar_of(methods):
    """The class of calendars."""
    kind = methods["WorkspaceService/UpdateWorkspace"].input.DESCRIPTOR.fields_by_name["workspace"].message_type
    return message_factory.GetMessageClass(
        kind.fields_by_name["calendars"].message_type.fields_by_name["value"].message_type
    )


def told(case):
    """A case in a line."""
    return f"{case.method}, {case.name}" if hasattr(case, "method") else f"{case[0]}"


if __name__ == "__main__":
    sys.exit(main())
