"""From a question of `expected.json` to a funnel of the API (`shared/data/DEFINITIONS.md`, D2 to D4, D10)."""

import json
import re

ASKED = ("funnel", "stall")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
NUMERIC = {"gt": ">", "gte": ">="}


def funnel(api, question, rules_everywhere=False):
    """The funnel that a question asks about.

    `rules_everywhere` gives every stage but the last a stall and an abandon
    rule where the question has none, so that a sequence can be bound to each.
    """
    asked = question["funnel"]
    steps = asked["steps"]
    rules = question.get("rules") or []
    if rules_everywhere and not rules:
        rules = [{"stall_after": 600, "abandon_after": 3600}] * (len(steps) - 1)
    ids = stage_ids(steps)
    made = api.Funnel(
        display_name=question["id"],
        subject=api.SUBJECT_KIND_CUSTOMER if question.get("actor") == "customer" else api.SUBJECT_KIND_CONVERSATION,
        order=api.STAGE_ORDER_STRICT if asked["order"] == "strict" else api.STAGE_ORDER_ORDERED,
        stages=[stage(api, place, step, ids, rules) for place, step in enumerate(steps)],
        exclusions=[exclusion(api, one, ids) for one in asked.get("exclusions", [])],
        where=predicate(asked["where"]) if asked.get("where") else "",
        ended=matches(api, question.get("ended")),
        reopened=matches(api, question.get("reopened")),
        breakdowns=[event_property(api, key) for key in question.get("breakdown_by", [])],
    )
    if asked["window_seconds"] is not None:
        made.conversion_window.FromSeconds(asked["window_seconds"])
    return made


def stage(api, place, step, ids, rules):
    """One stage, with the silence rules of its place if there are any."""
    made = api.Stage(id=ids[place], display_name=step["name"], enter=matches(api, step["match"]))
    if place < len(rules) and place < len(ids) - 1:
        made.stall.CopyFrom(silence(api, rules[place]["stall_after"]))
        made.abandon.CopyFrom(silence(api, rules[place]["abandon_after"]))
    return made


def silence(api, seconds):
    """Silence of anybody, in wall time: D10 does not ask who owes the next word."""
    made = api.SilenceRule(basis=api.TIME_BASIS_WALL, owed_by=api.OWED_BY_ANYONE)
    made.after.FromSeconds(seconds)
    return made


def exclusion(api, one, ids):
    """Events that void an attempt between two stages."""
    (match,) = matches(api, one["match"])
    return api.Exclusion(match=match, from_stage=ids[one["from_step"]], to_stage=ids[one["to_step"]])


def matches(api, match):
    """A match of D2 as matches of the API, any of which matches."""
    if match is None:
        return []
    if "any" in match:
        return [one for part in match["any"] for one in matches(api, part)]
    where = predicate(match["where"]) if match.get("where") else ""
    return [api.Match(event_types=[match["event"]], where=where)]


def predicate(test):
    """A FILTER of D2 in the rule language."""
    if test.get("op"):
        word = " && " if test["op"] == "and" else " || "
        return "(" + word.join(predicate(part) for part in test["of"]) + ")"
    return comparison(field(test["key"]), test["cmp"], test.get("value"))


def comparison(path, how, value):
    """One comparison of D2; texts compare as texts, whatever the type of the property."""
    if how == "eq":
        return f"string({path}) == {literal(str(value))}"
    if how == "neq":
        return f"string({path}) != {literal(str(value))}"
    if how in ("in", "not_in"):
        inside = f"string({path}) in [{', '.join(literal(str(one)) for one in value)}]"
        return inside if how == "in" else f"!({inside})"
    if how == "contains":
        return f"{path}.lowerAscii().contains({literal(ascii_lower(str(value)))})"
    if how in NUMERIC:
        return f"{path} {NUMERIC[how]} {float(value)!r}"
    if how == "set":
        return f"has({path})"
    raise ValueError(f"unknown comparison {how}")


def field(key):
    """A property of the event itself."""
    return f"event.properties.{key}" if IDENTIFIER.match(key) else f"event.properties[{literal(key)}]"


def literal(text):
    """A text in the rule language."""
    return json.dumps(text, ensure_ascii=False)


def ascii_lower(text):
    """Lower case for A to Z alone."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def event_property(api, key):
    """A property of the event that began the attempt."""
    return api.Property(scope=api.PROPERTY_SCOPE_EVENT, key=key)


def stage_ids(steps):
    """Stable ids from the steps' names."""
    ids = [re.sub(r"[^a-z0-9]+", "-", step["name"].lower()).strip("-") for step in steps]
    if len(set(ids)) != len(ids):
        ids = [f"stage-{place}-{name}" for place, name in enumerate(ids)]
    return ids
