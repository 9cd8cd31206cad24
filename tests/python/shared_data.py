"""Asks every question of the shared data sets of a running rekindle and compares the answers.

Each set is imported through the command line into a new database, in file order
or shuffled with every tenth line sent twice; the funnels are defined over gRPC
before the import, after it, or half-way; every question of the kinds that are
covered prints one line. A sequence is simulated over the stages of every question
about stalls, and counted once more from the raw events. With `--with-sequences`,
every stage of every funnel has active sequences during the import, and nothing may
be sent.

    tests/python/run shared-data target/release/rekindle --with-sequences     everything
    tests/python/run shared-data target/debug/rekindle --quick                one way per set and database
"""

import argparse
import gzip
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from checks import compare, database, protos, questions, silent_sequences, simulate
from checks.report import Failed, Report, expect
from checks.service import WORKSPACE, Service
from checks.wait import until

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SETS = ("ubuntu-irc", "helpdesk-it", "olist-marketing")
BACKENDS = ("sqlite", "postgres")
ORDERS = ("file", "shuffled")
DEFINED = ("before", "after", "half-way")
# One run per set and database that together use every order and every moment on each database.
QUICK = (
    ("ubuntu-irc", "sqlite", "shuffled", "half-way"),
    ("helpdesk-it", "sqlite", "file", "before"),
    ("olist-marketing", "sqlite", "shuffled", "after"),
    ("ubuntu-irc", "postgres", "file", "after"),
    ("helpdesk-it", "postgres", "shuffled", "half-way"),
    ("olist-marketing", "postgres", "shuffled", "before"),
)
FILL_SECONDS = 900
SEED = 20140103


@dataclass
class Way:
    """One way of asking: which data, where to, in which order, and when funnels are defined."""

    data: str
    backend: str
    order: str
    defined: str

    def __str__(self):
        return f"{self.data:<16}{self.backend:<10}{self.order:<10}{self.defined:<10}"


def main():
    options = arguments()
    api = protos.load()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="rekindle-data-") as scratch:
        for way in ways(options):
            started = time.monotonic()
            try:
                run(api, report, options, way, Path(scratch))
            except Failed as error:
                report.fail(f"{way}", error)
            report.note(f"{way} took {time.monotonic() - started:.1f} s")
    return report.close()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, help="the rekindle program")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the data sets")
    parser.add_argument("--postgres", default=os.environ.get("TEST_DATABASE_URL"), help="URL of a PostgreSQL server")
    parser.add_argument("--set", action="append", choices=SETS, help="only this set")
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="only this database")
    parser.add_argument("--order", action="append", choices=ORDERS, help="only this order of lines")
    parser.add_argument("--defined", action="append", choices=DEFINED, help="only this moment of definition")
    parser.add_argument("--quick", action="store_true", help="one way per set and database")
    parser.add_argument("--with-sequences", action="store_true", help="bind active sequences to every stage")
    options = parser.parse_args()
    if not options.postgres and (not options.backend or "postgres" in options.backend):
        parser.error("name a PostgreSQL server with --postgres or TEST_DATABASE_URL, or ask for --backend sqlite")
    return options


def ways(options):
    """The ways that were asked for, in a stable order."""
    every = QUICK if options.quick else itertools.product(SETS, BACKENDS, ORDERS, DEFINED)
    wanted = (options.set, options.backend, options.order, options.defined)
    for way in every:
        if all(not chosen or part in chosen for part, chosen in zip(way, wanted)):
            yield Way(*way)


def run(api, report, options, way, scratch):
    """Imports one set in one way, and asks its questions."""
    source = options.data / way.data
    asked = json.loads((source / "expected.json").read_text())["questions"]
    covered = [question for question in asked if question["kind"] in questions.ASKED]
    parts = files(source / "events.jsonl.gz", way, scratch)
    with ExitStack() as stack:
        url = stack.enter_context(database.of_kind(way.backend, options.postgres))
        silent = stack.enter_context(silent_sequences.Silent(api)) if options.with_sequences else None
        service = stack.enter_context(Service(options.binary, url, silent.settings if silent else None))
        if silent:
            silent.prepare(service.channel)
        fill(api, report, service, way, covered, parts, silent)
        metrics = api.MetricsServiceStub(service.channel)
        for question in covered:
            report.check(f"{way}{question['id']}", compare.ask, api, metrics, question)
        simulate.prepare(api, service.channel)
        for question in covered:
            if question["kind"] == "stall":
                name, raw = f"{way}{question['id']} simulated", source / "events.jsonl.gz"
                report.check(name, simulate.check, service, question, raw)
        if silent:
            report.check(f"{way}sequences sent nothing", silent.verify)
        for question in asked:
            if question not in covered:
                report.note(f"{way}{question['id']}: {question['kind']} is not asked")


def fill(api, report, service, way, covered, parts, silent):
    """Brings events and funnels in, in the way's order, and waits until figures are complete."""
    imported = time.monotonic()
    if way.defined == "before":
        define(api, service, covered, silent)
        service.import_file(parts[0])
    elif way.defined == "after":
        service.import_file(parts[0])
        define(api, service, covered, silent)
    else:
        service.import_file(parts[0])
        define(api, service, covered, silent)
        service.import_file(parts[1])
    filled = time.monotonic()
    for question in covered:
        await_fill(api, service, question)
    done = time.monotonic()
    report.note(f"{way} import and definition {filled - imported:.1f} s, then filling {done - filled:.1f} s")


def define(api, service, covered, silent):
    """Creates the funnel of every question, and with it the sequences on its stages."""
    stub = api.FunnelServiceStub(service.channel)
    for question in covered:
        funnel = questions.funnel(api, question, rules_everywhere=silent is not None)
        request = api.CreateFunnelRequest(parent=WORKSPACE, funnel_id=question["id"], funnel=funnel)
        stub.CreateFunnel(request, timeout=60)
        if silent:
            silent.bind(question["id"], funnel)


def await_fill(api, service, question):
    """Waits until a funnel is filled from stored history."""
    stub = api.FunnelServiceStub(service.channel)
    request = api.GetFunnelFillRequest(funnel=compare.funnel_name(question))

    def complete():
        state = stub.GetFunnelFill(request, timeout=60).fill
        expect(state.state != api.FunnelFill.STATE_CANCELLED, "the fill was cancelled")
        return state.complete

    until(f"{question['id']} is filled", complete, FILL_SECONDS)


def files(source, way, scratch):
    """The files to import: one, or for `half-way` two."""
    if way.order == "file" and way.defined != "half-way":
        return [source]
    with gzip.open(source, "rt", encoding="utf-8") as stream:
        lines = stream.readlines()
    if way.order == "shuffled":
        lines += lines[::10]
        random.Random(SEED).shuffle(lines)
    cut = len(lines) // 2 if way.defined == "half-way" else len(lines)
    folder = scratch / "parts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    parts = [folder / "first.jsonl", folder / "second.jsonl"]
    parts[0].write_text("".join(lines[:cut]), encoding="utf-8")
    parts[1].write_text("".join(lines[cut:]), encoding="utf-8")
    return parts


if __name__ == "__main__":
    sys.exit(main())
