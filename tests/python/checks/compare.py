"""Asks the questions over gRPC and compares: counts and hashes exactly, rates to 1e-9, seconds to 1e-6."""

import hashlib
from datetime import datetime
from urllib.parse import unquote

from checks.questions import event_property
from checks.report import Failed, equal, expect
from checks.service import WORKSPACE

RATE = 1e-9
SECONDS = 1e-6
# Beyond the number of values of any breakdown in the data, and the most that may be asked for.
ALL_VALUES = 1000
PAGE = 1000


def ask(api, metrics, question):
    """Asks one question; raises with the first difference."""
    (ask_funnel if question["kind"] == "funnel" else ask_stall)(api, metrics, question)


def ask_funnel(api, metrics, question):
    """Counts, rates, times, breakdowns and trends of a funnel."""
    answer = question["answer"]
    expected = answer.get("ties_arrival", answer)
    request = query(api, question)
    for key in question["breakdown_by"]:
        request.breakdowns.add(property=event_property(api, key), top_n=ALL_VALUES)
    if question["trend_bucket"]:
        request.trend.granularity = api.Granularity.Value("GRANULARITY_" + question["trend_bucket"].upper())
        request.trend.zone = "UTC"
    got = metrics.QueryFunnel(request, timeout=120)
    expect(got.complete, "the answer says that it is not complete")
    stages(expected, got.figures)
    for key, breakdown in zip(question["breakdown_by"], got.breakdowns, strict=True):
        breakdown_of(key, expected["breakdown"][key], breakdown.groups)
    for name in ("trend_best", "trend_attempts"):
        trend(name, expected.get(name, []), getattr(got, name))


def ask_stall(api, metrics, question):
    """Who is where at an instant, and who is stalled and abandoned, by name."""
    expected = question["answer"]
    got = metrics.QueryFunnel(query(api, question), timeout=120)
    expect(got.complete, "the answer says that it is not complete")
    figures = got.figures
    equal("known", expected["known"], figures.known)
    equal("never entered", expected["stages"][0]["conversations"], figures.never_entered)
    for want, have in zip(expected["stages"][1:], figures.stages, strict=True):
        where = f"stage {want['stage']}"
        equal(f"{where} conversations", want["conversations"], have.active + have.stalled + have.abandoned + have.ended + have.completed)
        for figure in ("ended", "active", "stalled", "abandoned"):
            if figure in want:
                equal(f"{where} {figure}", want[figure], getattr(have, figure))
        for figure in ("stalled", "abandoned"):
            if f"{figure}_sha256" in want:
                names = subjects(api, metrics, question, have.stage, figure)
                equal(f"{where} {figure} listed", want[figure], len(names))
                equal(f"{where} {figure} ids", want[f"{figure}_sha256"], digest(names))
    for figure in ("stalled", "abandoned"):
        equal(figure, expected[figure], sum(getattr(stage, figure) for stage in figures.stages))


def query(api, question):
    """The question as of its instant."""
    request = api.QueryFunnelRequest(funnel=funnel_name(question))
    if question["as_of"]:
        request.as_of_time.FromDatetime(instant(question["as_of"]))
    return request


def subjects(api, metrics, question, stage, figure):
    """The ids of the conversations behind a number, over all pages."""
    request = api.ListFunnelSubjectsRequest(
        funnel=funnel_name(question),
        stage=stage,
        figure=api.FunnelFigure.Value("FUNNEL_FIGURE_" + figure.upper()),
        page_size=PAGE,
    )
    if question["as_of"]:
        request.as_of_time.FromDatetime(instant(question["as_of"]))
    names = []
    while True:
        page = metrics.ListFunnelSubjects(request, timeout=120)
        names += [unquote(subject.name.split("/")[-1]) for subject in page.subjects]
        if not page.next_page_token:
            return names
        request.page_token = page.next_page_token


def stages(expected, figures):
    """D4 and D5."""
    equal("number of stages", len(expected["stages"]), len(figures.stages))
    before = None
    for want, have in zip(expected["stages"], figures.stages, strict=True):
        where = f"stage {want['stage']}"
        equal(f"{where} count", want["count"], have.reached)
        near(f"{where} of first", want["conversion_from_first"], rate(have.of_first), RATE)
        if before is not None:
            near(f"{where} of previous", want["conversion_from_previous"], rate(have.of_previous), RATE)
            equal(f"{where} dropped before", want["dropped_before"], have.dropped)
        if "seconds_from_previous" in want:
            distribution(f"{where} seconds", want["seconds_from_previous"], have.time_from_previous)
        before = have
    equal("converted", expected["stages"][-1]["count"], figures.converted.numerator)
    distribution("first to last", expected["seconds_first_to_last"], figures.time_to_convert)


def distribution(where, want, have):
    """A distribution: n exactly, the rest in seconds."""
    equal(f"{where} n", want["n"], have.n)
    if not want["n"]:
        return
    for key, name in (("mean", "mean"), ("median", "p50"), ("p90", "p90"), ("min", "min"), ("max", "max")):
        near(f"{where} {key}", want[key], getattr(have, f"{name}_seconds"), SECONDS)


def breakdown_of(key, want, groups):
    """D6: every value, in order, with the count of every stage."""
    for group in groups:
        expect(not group.is_other, f"by {key}: a group of the rest although all values were asked for")
    have = [{"value": group.value, "counts": [stage.reached for stage in group.stages]} for group in groups]
    same_rows(f"by {key}", want, have)


def trend(name, want, buckets):
    """D7: every bucket, in order."""
    have = [
        {"bucket": bucket.start_date, "entered": bucket.entered, "converted": bucket.converted} for bucket in buckets
    ]
    same_rows(name, want, have)


def same_rows(what, want, have):
    """Raises with the first row that differs."""
    for place, (left, right) in enumerate(zip(want, have)):
        equal(f"{what} row {place}", left, right)
    equal(f"{what} rows", len(want), len(have))


def near(what, want, have, tolerance):
    """Raises unless the two are as near as said; None is equal to None only."""
    if want is None or have is None:
        equal(what, want, have)
    elif abs(want - have) > tolerance:
        raise Failed(f"{what}: expected {want}, got {have}")


def rate(ratio):
    """A ratio as a number; None when it is not defined."""
    return ratio.numerator / ratio.denominator if ratio.denominator else None


def digest(names):
    """SHA-256 of the ids, sorted by bytes, one a line, without a newline at the end."""
    return hashlib.sha256(b"\n".join(sorted(name.encode() for name in names))).hexdigest()


def funnel_name(question):
    """The funnel of a question bears its id."""
    return f"{WORKSPACE}/funnels/{question['id']}"


def instant(text):
    """An instant from RFC 3339, as the API's library takes it: UTC without a zone."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)
