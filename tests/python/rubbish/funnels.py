"""Funnels with one thing wrong each, and changes of funnels."""

from rubbish.build import changed, copied
from rubbish.case import Below, Case, Some, Want, invalid, missing
from rubbish.fields import refusal, wrong
from rubbish.values import PREDICATES, USER_IDS

CREATE = "FunnelService/CreateFunnel"
KB = 1_024
FUNNEL = [
    ("displayName", "x" * 257),
    ("description", "x" * (4 * KB + 1)),
    ("notes", "x" * (4 * KB + 1)),
    ("goals", ["x"] * 51),
    ("goals", ["x" * (KB + 1)]),
    ("personas", ["x"] * 51),
    ("personas", ["x" * (KB + 1)]),
    ("resources", ["x"] * 51),
    ("resources", ["x" * (KB + 1)]),
    ("stages[0].displayName", "x" * 257),
    ("stages[0].description", "x" * (4 * KB + 1)),
    ("stages[0].notes", "x" * (4 * KB + 1)),
    ("stages[0].touchpoints", ["x"] * 51),
    ("stages[0].touchpoints", ["x" * (KB + 1)]),
    ("stages[0].resources", ["x"] * 51),
    ("stages[0].enter", []),
    ("stages[0].optional", True),
    ("stages[0].window", (60, 0)),
    ("stages[0].targetExperiment.id", ""),
    ("stages[0].targetExperiment.id", "Faster"),
    ("stages[0].targetExperiment.arms", []),
    ("stages[0].targetExperiment.arms[1].id", ""),
    ("stages[0].targetExperiment.arms[1].id", "hour"),
    ("stages[0].targetExperiment.arms[1].after", (7_200, 0)),
    ("stages[0].targetExperiment.arms[1].weight", 0),
    ("stages[0].targetExperiment.arms[1].weight", -1),
    ("stages[0].targetExperiment.arms[1].weight", 10_001),
    ("stages[1].requires", ["answered"]),
    ("stages[1].requires", ["thanked"]),
    ("exclusions[0].match", None),
    ("exclusions[0].fromStage", "nowhere"),
    ("exclusions[0].fromStage", ""),
    ("exclusions[0].toStage", "nowhere"),
    ("exclusions[0].toStage", "asked"),
    ("breakdowns[0].key", ""),
    ("breakdowns[0].key", "k" * 129),
    ("calendar", "nobody"),
    ("calendar", "x" * 100_000),
]
# Places of a funnel where a predicate stands.
RULES = ("where", "stages[0].enter[0].where", "ended[0].where", "exclusions[0].match.where")


def funnels(valid, stage):
    """Funnels with one wrong field, too many of something, or a rule that is none."""
    method = CREATE
    good = valid[method]
    for path, value in FUNNEL:
        yield wrong(good, method, f"funnel.{path}", value)
    for name, text in USER_IDS.items():
        yield Case(f"funnelId {name}", method, changed(good, "funnelId", text), invalid("funnelId"))
        if name == "empty":
            continue
        renamed = changed(good, "funnel.stages[2].id", text)
        yield Case(f"stage id {name}", method, renamed, refusal(method, "funnel.stages[2].id"))
    for path in RULES:
        for name, text in PREDICATES.items():
            yield Case(
                f"{path} {name}", method, changed(good, f"funnel.{path}", text), refusal(method, f"funnel.{path}")
            )
    stages = list(good.funnel.stages)
    plain = changed(good, "funnel.exclusions", [])
    for name, count in (("no stages", 0), ("51 stages", 51), ("20 000 stages", 20_000)):
        many = changed(plain, "funnel.stages", [stage(f"s{number}") for number in range(count)])
        yield Case(name, method, many, refusal(method, "funnel.stages"))
    lonely = changed(changed(plain, "funnel.stages", stages[:1]), "funnel.stages[0].targetExperiment", None)
    yield Case("a single stage", method, lonely, refusal(method, "funnel.stages"))
    arm, tried = stages[0].target_experiment.arms[0], "funnel.stages[0].targetExperiment"
    arms = [changed(arm, "id", f"arm-{number}") for number in range(6)]
    yield Case("6 arms", method, changed(good, f"{tried}.arms", arms), refusal(method, f"{tried}.arms"))
    ruleless = changed(changed(good, "funnel.stages[0].stall", None), "funnel.stages[0].abandon", None)
    yield Case("targets without a rule", method, ruleless, refusal(method, tried))
    last = changed(good, "funnel.stages[2].stall", stages[0].stall)
    last = changed(last, "funnel.stages[2].targetExperiment", stages[0].target_experiment)
    yield Case("targets in the last stage", method, last, refusal(method, "funnel.stages[2].targetExperiment"))
    twice = changed(plain, "funnel.stages[2].id", "asked")
    yield Case("a stage twice", method, twice, refusal(method, "funnel.stages[2].id"))
    circle = changed(good, "funnel.stages[0].requires", ["answered"])
    yield Case(
        "stages that wait for each other",
        method,
        circle,
        refusal(method, "funnel.stages[0].requires", "funnel.stages[1].requires"),
    )
    match = stages[0].enter[0]
    yield Case(
        "21 matches",
        method,
        changed(good, "funnel.stages[0].enter", [match] * 21),
        refusal(method, "funnel.stages[0].enter"),
    )
    yield Case("21 ends", method, changed(good, "funnel.ended", [match] * 21), refusal(method, "funnel.ended"))
    yield Case(
        "21 reopenings", method, changed(good, "funnel.reopened", [match] * 21), refusal(method, "funnel.reopened")
    )
    yield Case(
        "51 exclusions",
        method,
        changed(good, "funnel.exclusions", [good.funnel.exclusions[0]] * 51),
        refusal(method, "funnel.exclusions"),
    )
    empty = changed(changed(good, "funnel.stages[0].enter[0].eventTypes", []), "funnel.stages[0].enter[0].where", "")
    yield Case("a match of nothing", method, empty, refusal(method, "funnel.stages[0].enter[0]"))
    for name, kinds in (
        ("51 types", [f"t{number}" for number in range(51)]),
        ("an empty type", [""]),
        ("a type with NUL", ["a\0b"]),
        ("a long type", ["x" * 129]),
        ("a huge type", ["x" * 1_000_000]),
    ):
        typed = changed(good, "funnel.stages[0].enter[0].eventTypes", kinds)
        yield Case(f"a match of {name}", method, typed, refusal(method, "funnel.stages[0].enter[0].eventTypes"))
    same = [good.funnel.breakdowns[0]] * 2
    yield Case(
        "a breakdown twice", method, changed(good, "funnel.breakdowns", same), refusal(method, "funnel.breakdowns[1]")
    )
    eleven = [changed(good.funnel.breakdowns[0], "key", f"k{number}") for number in range(11)]
    yield Case(
        "11 breakdowns", method, changed(good, "funnel.breakdowns", eleven), refusal(method, "funnel.breakdowns")
    )
    business = changed(good, "funnel.stages[0].stall.basis", 2)
    yield Case("business time without a calendar", method, business, refusal(method, "funnel.stages[0].stall.basis"))
    longer = changed(good, "funnel.stages[0].stall.after", (7_200, 0))
    yield Case("a stall as long as the abandonment", method, longer, refusal(method, "funnel.stages[0].abandon.after"))
    any_order = changed(good, "funnel.order", 3)
    yield Case("exclusions and targets in any order", method, any_order, refusal(method, "funnel.exclusions", tried))
    unknown = [f"nowhere-{number}" for number in range(2_000)]
    needs = changed(good, "funnel.stages[1].requires", unknown)
    yield Case("2 000 stages required that are none", method, needs, Some(refusal(method), "funnel.stages[1].requires"))
    yield Case(
        "a required stage with a huge id",
        method,
        changed(good, "funnel.stages[1].requires", ["x" * 1_000_000]),
        refusal(method, "funnel.stages[1].requires[0]"),
    )
    every = [stage(f"S{number} ü") for number in range(50)]
    yield Case(
        "50 stages with wrong ids",
        method,
        changed(plain, "funnel.stages", every),
        Some(refusal(method), "funnel.stages"),
    )
    yield Case("no definition", method, changed(good, "funnel", None), invalid("funnel"))
    for text in ("a b", "é", "x" * 65, "a\0b", "a\nb"):
        yield Case(f"requestId {text[:9]!r}", method, changed(good, "requestId", text), invalid("requestId"))
    taken = changed(changed(changed(good, "funnelId", "support"), "validateOnly", False), "requestId", "")
    yield Case("an id that is taken", method, taken, Want("ALREADY_EXISTS", "FUNNEL_EXISTS"))


def changes(valid):
    """Changes of funnels, and what is made from templates."""
    method = "FunnelService/UpdateFunnel"
    good = valid[method]
    yield Case("no funnel", method, changed(good, "funnel", None), invalid("funnel"))
    for paths in (
        ["nothing"],
        ["etag"],
        ["name"],
        ["stages.id"],
        [""],
        ["*", "notes"],
        ["displayName"],
        ["x" * 100_000],
        ["a\0b"],
        ["nothing"] * 3_000,
    ):
        masked = copied(good)
        masked.update_mask.paths.extend(paths)
        yield Case(f"mask {str(paths)[:40]}", method, masked, invalid("updateMask"))
    for etag in ("stale", '"x"', "x" * 1_000, "é"):
        stale = changed(good, "funnel.etag", etag)
        yield Case(f"etag {etag[:10]!r}", method, stale, Want("ABORTED", "STALE_ETAG"))
        gone = changed(valid["FunnelService/DeleteFunnel"], "etag", etag)
        yield Case(f"etag {etag[:10]!r}", "FunnelService/DeleteFunnel", gone, Want("ABORTED", "STALE_ETAG"))
    customer = changed(good, "funnel.subject", 2)
    yield Case("another subject", method, customer, refusal(method, "funnel.subject"))
    for name, map_ in (
        ("to no stage", {"gone": "nowhere"}),
        ("from a stage that stays", {"asked": "nowhere"}),
        ("with NUL", {"a\0b": "a\0b"}),
        ("very long", {"x" * 100_000: "y" * 100_000}),
    ):
        yield Case(f"stage map {name}", method, changed(good, "stageMap", map_), Below("stageMap"))
    made = "FunnelService/CreateFunnelFromTemplate"
    for template in ("", "suport", "SUPPORT", "../support", "a\0b", "x" * 1_000_000):
        wrong = changed(valid[made], "template", template)
        yield Case(f"template {template[:10]!r}", made, wrong, missing("TEMPLATE_NOT_FOUND"))
    for name, text in USER_IDS.items():
        yield Case(f"funnelId {name}", made, changed(valid[made], "funnelId", text), invalid("funnelId"))
    yield Case(
        "a display name too long",
        made,
        changed(valid[made], "displayName", "x" * 257),
        invalid("displayName", reason="FUNNEL_INVALID"),
    )
    yield Case("a request id that is none", made, changed(valid[made], "requestId", "a b"), invalid("requestId"))
