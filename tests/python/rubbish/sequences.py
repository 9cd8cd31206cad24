"""Sequences with one thing wrong each, and templates that are none."""

from google.protobuf import json_format

from rubbish.build import changed, copied
from rubbish.case import Below, Case, Want, invalid
from rubbish.desk import FUNNEL, WORKSPACE
from rubbish.fields import refusal
from rubbish.values import TEMPLATES, USER_IDS

CREATE = "SequenceService/CreateSequence"
# Places of a sequence where a template stands.
SOURCES = (
    "steps[1].sendEmail.subject",
    "steps[1].sendEmail.text",
    "steps[1].sendEmail.html",
    "steps[1].sendEmail.to",
    "steps[2].callWebhook.body",
)
NOWHERE = f"{WORKSPACE}/destinations/nowhere"
SEQUENCE = [
    ("displayName", "x" * 257),
    ("trigger", None),
    ("trigger.funnel", ""),
    ("trigger.funnel", "support"),
    ("trigger.funnel", f"{WORKSPACE}/funnels/nobody"),
    ("trigger.funnel", "workspaces/elsewhere/funnels/support"),
    ("trigger.stage", ""),
    ("trigger.stage", "nowhere"),
    ("steps", []),
    ("steps[1].sendEmail.destination", ""),
    ("steps[1].sendEmail.destination", NOWHERE),
    ("steps[1].sendEmail.destination", f"{WORKSPACE}/destinations/hook"),
    ("steps[1].sendEmail.subject", ""),
    ("steps[1].sendEmail.subject", "   "),
    ("steps[1].sendEmail.text", ""),
    ("steps[2].callWebhook.destination", ""),
    ("steps[2].callWebhook.destination", NOWHERE),
    ("steps[2].callWebhook.destination", f"{WORKSPACE}/destinations/relay"),
    ("steps[2].callWebhook.body", "no JSON at all"),
    ("steps[2].callWebhook.body", '{"a": '),
    ("quietHours.hours", "whenever"),
    ("quietHours.hours", "24/7"),
    ("holdout", 0.51),
    ("holdout", -0.1),
    ("holdout", 0.00001),
    ("holdout", float("nan")),
    ("entryFilter", "nonsense("),
    ("entryFilter", "run.arm == 'treated'"),
    ("priority", 101),
]
# Triggers that are wrong at a place.
TRIGGERS = [
    ("event.when", {"event": {}}),
    ("event.when", {"event": {"when": "customer.vip"}}),
    ("event.when", {"event": {"when": "nonsense("}}),
    ("event.when", {"event": {"when": "run.arm == 'treated' && event.type == 'x'"}}),
    ("schedule.cron", {"schedule": {}}),
    ("schedule.cron", {"schedule": {"cron": "@daily"}}),
    ("schedule.cron", {"schedule": {"cron": "0 0 30 2 *"}}),
    ("schedule.cron", {"schedule": {"cron": "0 9 * * " + "1," * 200 + "1"}}),
    ("schedule.zone", {"schedule": {"cron": "0 9 * * *", "zone": "Mars/Olympus"}}),
    ("schedule.jitter", {"schedule": {"cron": "0 9 * * *", "jitter": "86401s"}}),
    ("schedule.jitter", {"schedule": {"cron": "0 9 * * *", "jitter": "-1s"}}),
    ("schedule.overlap", {"schedule": {"cron": "0 9 * * *", "overlap": 9}}),
    ("on", {"hand": {}, "on": "SILENCE_KIND_STALLED"}),
    ("owedBy", {"hand": {}, "owedBy": "OWED_BY_AGENT"}),
    ("stage", {"hand": {}, "stage": "nowhere"}),
]
# Steps that are wrong at a place.
REST = {"id": "rest", "wait": {"duration": "60s"}}
STEPS = [
    ("waitUntil", {"waitUntil": {}}),
    ("waitUntil.hours", {"waitUntil": {"hours": "whenever"}}),
    ("waitUntil.time.clock", {"waitUntil": {"time": {"clock": "24:00"}}}),
    ("waitUntil.time.days[0]", {"waitUntil": {"time": {"clock": "09:00", "days": [8]}}}),
    ("waitFor.rule", {"waitFor": {"rule": "nonsense(", "within": "60s"}}),
    ("waitFor.rule", {"waitFor": {"rule": "run.steps.nobody.visits > 0", "within": "60s"}}),
    ("waitFor.rule", {"waitFor": {"rule": "run.secrets == 1", "within": "60s"}}),
    ("waitFor.within", {"waitFor": {"rule": "customer.vip", "within": "-1s"}}),
    ("waitFor.then[0].id", {"waitFor": {"rule": "customer.vip", "within": "60s", "then": [{**REST, "id": "A"}]}}),
    ("branch.cases", {"branch": {"otherwise": [REST]}}),
    ("branch.cases[0].when", {"branch": {"cases": [{"steps": [REST]}]}}),
    ("split.variants", {"split": {"variants": [{"id": "a", "weight": 1}]}}),
    ("split.variants[1].id", {"split": {"variants": [{"id": "a", "weight": 1}, {"id": "a", "weight": 1}]}}),
    ("split.variants[1].weight", {"split": {"variants": [{"id": "a", "weight": 1}, {"id": "b", "weight": 10001}]}}),
    ("repeat.times", {"repeat": {"times": 101, "steps": [REST]}}),
    ("repeat.times", {"repeat": {"times": -1, "steps": [REST]}}),
    ("repeat.until", {"repeat": {"times": 2, "steps": [REST], "until": "nonsense("}}),
    ("repeat.steps", {"repeat": {"times": 2}}),
    (
        "branch.otherwise[1]",
        {"branch": {"cases": [{"when": "customer.vip"}], "otherwise": [{"id": "end", "end": {}}, REST]}},
    ),
    ("escalate.to", {"escalate": {"destination": f"{WORKSPACE}/destinations/relay", "subject": "s", "text": "t"}}),
    ("escalate.destination", {"escalate": {"destination": NOWHERE}}),
]


def sequences(valid):
    """Sequences with one wrong field, and templates that are none."""
    method = CREATE
    good = valid[method]
    for path, value in SEQUENCE:
        yield Case(
            f"{path} = {str(value)[:30]!r}", method, changed(good, f"sequence.{path}", value), Below(f"sequence.{path}")
        )
    for path in SOURCES:
        for name, source in TEMPLATES.items():
            yield Case(
                f"{path} {name}", method, changed(good, f"sequence.{path}", source), refusal(method, f"sequence.{path}")
            )
    for name, text in USER_IDS.items():
        yield Case(f"sequenceId {name}", method, changed(good, "sequenceId", text), invalid("sequenceId"))
        yield Case(
            f"step id {name}",
            method,
            changed(good, "sequence.steps[1].id", text),
            refusal(method, "sequence.steps[1].id"),
        )
    steps = list(good.sequence.steps)
    for count in (101, 5_000):
        many = [changed(steps[1], "id", f"s{number}") for number in range(count)]
        yield Case(f"{count} steps", method, changed(good, "sequence.steps", many), refusal(method, "sequence.steps"))
    for path, content in TRIGGERS:
        trigger = json_format.ParseDict({"funnel": FUNNEL, **content}, copied(good.sequence.trigger.__class__()))
        wrong = changed(good, "sequence.trigger", trigger)
        yield Case(f"a trigger with a wrong {path}", method, wrong, Below(f"sequence.trigger.{path}"))
    outlasting = changed(good, "sequence.outlastsReturn", True)
    yield Case("a silence that outlasts a return", method, outlasting, refusal(method, "sequence.outlastsReturn"))
    for path, content in STEPS:
        step = json_format.ParseDict(content, copied(steps[0]))
        wrong = changed(good, "sequence.steps[0]", step)
        yield Case(f"a step with a wrong {path}", method, wrong, Below(f"sequence.steps[0].{path}"))
    without = changed(good, "sequence.trigger.stage", "answered")
    yield Case("a stage without a rule", method, without, refusal(method, "sequence.trigger.on"))
    same = changed(good, "sequence.steps[0].id", "ask")
    yield Case("a step twice", method, same, refusal(method, "sequence.steps[1].id"))
    yield Case("nothing is sent", method, changed(good, "sequence.steps", steps[:1]), refusal(method, "sequence.steps"))
    nothing = changed(steps[0], "wait", None)
    yield Case(
        "a step that does nothing",
        method,
        changed(good, "sequence.steps", [nothing, *steps[1:]]),
        refusal(method, "sequence.steps[0]"),
    )
    business = changed(good, "sequence.steps[0].wait.basis", 2)
    yield Case("a wait in business time", method, business, refusal(method, "sequence.steps[0].wait.basis"))
    yield Case("no definition", method, changed(good, "sequence", None), invalid("sequence"))
    yield Case("a request id that is none", method, changed(good, "requestId", "a b"), invalid("requestId"))
    taken = changed(changed(changed(good, "sequenceId", "nudge"), "validateOnly", False), "requestId", "")
    yield Case("an id that is taken", method, taken, Want("ALREADY_EXISTS", "SEQUENCE_EXISTS"))
    change = "SequenceService/UpdateSequence"
    yield Case("no sequence", change, changed(valid[change], "sequence", None), invalid("sequence"))
    for paths in (["state"], ["nothing"], ["", "*"], ["x" * 100_000]):
        masked = copied(valid[change])
        masked.update_mask.paths.extend(paths)
        yield Case(f"mask {str(paths)[:30]}", change, masked, invalid("updateMask"))
    yield Case("a stale etag", change, changed(valid[change], "sequence.etag", "stale"), Want("ABORTED", "STALE_ETAG"))
    for name, policy, map_ in (
        ("to no step", 2, {"ask": "nowhere"}),
        ("from no step", 2, {"nobody": "ask"}),
        ("with NUL", 2, {"a\0b": "a\0b"}),
        ("very long", 2, {"x" * 100_000: "y" * 100_000}),
        ("without a policy", 0, {"ask": "ask"}),
        ("of those that are cancelled", 3, {"ask": ""}),
    ):
        moved = changed(changed(valid[change], "runPolicy", policy), "stepMap", map_)
        yield Case(f"step map {name}", change, moved, Below("stepMap"))
    for verb in ("Delete", "Start"):
        name = f"SequenceService/{verb}Sequence"
        yield Case("a stale etag", name, changed(valid[name], "etag", "stale"), Want("ABORTED", "STALE_ETAG"))
    for verb, reason in (("Pause", "SEQUENCE_NOT_PAUSABLE"), ("Resume", "SEQUENCE_NOT_RESUMABLE")):
        name = f"SequenceService/{verb}Sequence"
        yield Case("of a draft", name, valid[name], Want("FAILED_PRECONDITION", reason))
