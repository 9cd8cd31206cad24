"""Events: each stands for itself, so what is wrong with one is said in its place."""

from rubbish.build import changed, nested, struct
from rubbish.case import OK, TOO_LARGE, Case, Want, invalid
from rubbish.values import INSTANTS, NAMES, STRANGERS

INGEST, STREAM = "IngestService/IngestEvents", "IngestService/StreamEvents"
MANY = {f"k{number}": number for number in range(65)}
LARGE = {f"k{number}": "x" * 1_024 for number in range(64)}

# Path and value that is none; the fields that are named.
ROWS = [
    *[(field, text, [field]) for field in ("id", "conversation", "customer", "type") for text in NAMES.values()],
    ("id", "", ["id"]),
    ("type", "", ["type"]),
    ("type", "rekindle.mark", ["type"]),
    ("type", "customer_merged", ["type"]),
    ("occurTime", None, ["occurTime"]),
    *[("occurTime", value, ["occurTime"]) for value in INSTANTS.values()],
    *[("authorType", number, ["authorType"]) for number in STRANGERS],
    ("text", "x" * 32_769, ["text"]),
    ("text", "é" * 16_385, ["text"]),
    ("text", "a\0b", ["text"]),
    ("properties", struct({"n": float("nan")}), ["properties.n"]),
    ("properties", struct({"n": float("inf")}), ["properties.n"]),
    ("properties", struct({"n": -float("inf")}), ["properties.n"]),
    ("properties", struct({"a": {"b": [1, float("nan")]}}), ["properties.a.b[1]"]),
    ("properties", struct({"a": "x\0y"}), ["properties.a"]),
    ("properties", struct({"a": ["x\0y"]}), ["properties.a"]),
    ("properties", struct({"a": {"x\0y": 1}}), ["properties.a"]),
    ("properties", struct({"a\0b": 1}), ["properties.a\0b"]),
    ("properties", struct({"a\nb": 1}), ["properties.a\nb"]),
    ("properties", struct({"": 1}), ["properties."]),
    ("properties", struct({"k" * 129: 1}), [f"properties.{'k' * 64}"]),
    ("properties", struct({"a": "x" * 1_025}), ["properties.a"]),
    ("properties", struct({"a": ["x" * 1_025]}), ["properties.a"]),
    ("properties", struct({"a": nested(9)}), ["properties.a"]),
    ("properties", struct({"a": nested(25)}), ["properties.a"]),
    ("properties", struct(MANY), ["properties"]),
    ("properties", struct(LARGE), [""]),
]
TYPED = [
    ("ces_answer", {"score": 0}),
    ("ces_answer", {"score": 8}),
    ("ces_answer", {"score": 1.5}),
    ("ces_answer", {"score": "7"}),
    ("ces_answer", {}),
    ("csat_answer", {}),
    ("csat_answer", {"score": "good"}),
    ("csat_answer", {"score": None}),
]


def cases(api, valid):
    """Events that are none, alone and behind one that is."""
    good = valid[INGEST].events[0]
    for path, value, fields in ROWS:
        yield rejected(f"{path} {shown(value)}", api, valid, changed(good, path, value), fields)
    for kind, properties in TYPED:
        wrong = changed(changed(good, "type", kind), "properties", struct(properties))
        yield rejected(f"{kind} {properties}", api, valid, wrong, ["properties.score"])
    for disposition in ("none", 1, True, {}):
        wrong = changed(changed(good, "type", "resolution"), "properties", struct({"disposition": disposition}))
        yield rejected(f"disposition {disposition}", api, valid, wrong, ["properties.disposition"])
    nobody = changed(changed(good, "conversation", ""), "customer", "")
    yield rejected("of nobody", api, valid, nobody, ["conversation"])
    reused = changed(good, "text", "another text")
    yield Case(
        "an id of another event",
        INGEST,
        changed(valid[INGEST], "events", [reused]),
        OK,
        lambda body: reason_of(body, api.ERROR_REASON_EVENT_ID_REUSED),
    )


def rejected(name, api, valid, event, fields):
    """A batch of a good event and a wrong one: the second is rejected with these fields."""
    request = valid[INGEST]
    batch = changed(request, "events", [request.events[0], event])

    def also(body):
        wrong = reason_of(body, api.ERROR_REASON_EVENT_INVALID)
        if wrong:
            return wrong
        named = sorted({violation.field for violation in body.rejections[0].field_violations})
        return None if named == sorted(fields) else f"expected the fields {fields}, got {named}"

    return Case(name, INGEST, batch, OK, also)


def reason_of(body, reason):
    """Whether exactly one event was rejected, for this reason."""
    reasons = [rejection.reason for rejection in body.rejections]
    return None if reasons == [reason] else f"rejections for {reasons}, expected one for {reason}"


def batches(valid):
    """Batches and streams that are none."""
    request, first = valid[INGEST], valid[STREAM]
    event = request.events[0]
    yield Case("no events", INGEST, changed(request, "events", []), invalid("events"))
    yield Case("1 001 events", INGEST, changed(request, "events", [event] * 1_001), invalid("events"))
    yield Case("50 000 events", INGEST, changed(request, "events", [type(event)()] * 50_000), invalid("events"))
    large = changed(event, "text", "x" * 32_000)
    yield Case("more than 4 MB", INGEST, changed(request, "events", [large] * 150), TOO_LARGE)
    yield Case("no batch at all", STREAM, [], OK)
    for number in (0, -1, -(2**63)):
        yield Case(f"sequence {number}", STREAM, changed(first, "sequence", number), sequence())
    yield Case("a sequence twice", STREAM, [first, first], sequence())
    yield Case("a sequence that goes back", STREAM, [changed(first, "sequence", 9), first], sequence())
    last = changed(first, "sequence", 2**63 - 1)
    yield Case("a sequence after the last", STREAM, [last, first], sequence())
    yield Case("a stream without events", STREAM, changed(first, "events", []), invalid("events"))
    yield Case("a stream of 1 001 events", STREAM, changed(first, "events", [event] * 1_001), invalid("events"))
    yield Case("a batch of more than 256 KB", STREAM, changed(first, "events", [large] * 9), TOO_LARGE)
    yield Case("a batch of more than 4 MB", STREAM, changed(first, "events", [large] * 150), TOO_LARGE)
    yield Case("a stream without its parent", STREAM, changed(first, "parent", ""), invalid("parent"))


def sequence():
    return Want("INVALID_ARGUMENT", "STREAM_SEQUENCE_INVALID")


def shown(value):
    """A value in a line."""
    text = repr(value) if not hasattr(value, "ListFields") else str(value).replace("\n", " ")
    return text[:60]
