"""Simulates a nudge over all of history, and counts once more from the raw events, without the program's figures."""

import gzip
import json
import tempfile
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path

from checks import compare, questions
from checks.report import equal
from checks.service import WORKSPACE

WAIT_SECONDS = 1800
DESTINATION = "simulated-mail"
# Who writes an event of a type, where the type says so; all other types are the customer's.
AGENT = {"agent_message", "note", "transfer", "escalation", "resolution"}
MACHINE = {"bot_message", "assignment", "reopen", "conversation_updated", "customer_updated", "customer_merged"}


def prepare(api, channel):
    """A mail server that nobody calls: a definition has to name one that exists."""
    smtp = api.SmtpDestination(host="127.0.0.1", port=9, tls=api.SMTP_TLS_PLAINTEXT_LOOPBACK)
    request = api.CreateDestinationRequest(
        parent=WORKSPACE, destination_id=DESTINATION, destination=api.Destination(smtp=smtp)
    )
    api.DestinationServiceStub(channel).CreateDestination(request, timeout=30)


def check(service, question, source):
    """Every stage of a question that has a stall rule."""
    ids = questions.stage_ids(question["funnel"]["steps"])
    histories = read(source)
    for place in range(min(len(question["rules"]), len(ids) - 1)):
        expected, by_hour = recount(histories, question, place)
        got = simulated(service, question, ids[place])
        where = f"stage {ids[place]}"
        for name, count in expected.items():
            equal(f"{where} {name}", count, int(got.get(name, 0)))
        hours = {seconds(hour["startTime"]): int(hour["messageCount"]) for hour in got.get("hours", [])}
        equal(f"{where} messages by hour", dict(by_hour), hours)
        equal(f"{where} hours in order", sorted(hours), list(hours))


def simulated(service, question, stage):
    """What the command line says of half an hour's patience and a mail."""
    definition = {
        "kind": "Sequence",
        "id": "simulated",
        "trigger": {"funnel": compare.funnel_name(question), "stage": stage, "on": "SILENCE_KIND_STALLED"},
        "steps": [
            {"id": "patience", "wait": {"duration": f"{WAIT_SECONDS}s"}},
            {
                "id": "ask",
                "sendEmail": {
                    "destination": f"{WORKSPACE}/destinations/{DESTINATION}",
                    "subject": "Still there?",
                    "text": "Hello.",
                    "to": "nobody@example.test",
                },
            },
        ],
    }
    with tempfile.TemporaryDirectory(prefix="rekindle-simulate-") as folder:
        file = Path(folder) / "nudge.json"
        file.write_text(json.dumps(definition), encoding="utf-8")
        answer = json.loads(service.run("simulate", "-f", str(file), "-o", "json", seconds=120))
    equal(f"stage {stage} is complete", True, answer.get("complete", False))
    return answer["simulation"]


def recount(histories, question, place):
    """D10 walked event by event: counts by their names in the answer, and messages by hour."""
    patience = question["rules"][place]["stall_after"]
    counts = Counter(
        dueCount=0, agentOwedCount=0, eligibleCount=0, cameBackCount=0, movedOnCount=0, writtenToCount=0, messageCount=0
    )
    by_hour = Counter()
    for events in histories.values():
        states = walk(events, question)
        for at, state in enumerate(states):
            due = state["ts"] + patience
            later = states[at + 1 :]
            if not is_quiet(state, place) or later and later[0]["ts"] <= due:
                continue
            counts["dueCount"] += 1
            counts["eligibleCount"] += 1
            counts["agentOwedCount"] += state["agent_owes"]
            returned = next((one["ts"] for one in later if one["is_return"]), None)
            left = next((one["ts"] for one in later if one["pointer"] != place + 1 or one["ended"]), None)
            send = due + WAIT_SECONDS
            if returned is not None and returned <= send and (left is None or returned <= left):
                counts["cameBackCount"] += 1
            elif left is not None and left <= send:
                counts["movedOnCount"] += 1
            else:
                counts["writtenToCount"] += 1
                counts["messageCount"] += 1
                by_hour[send - send % 3600] += 1
    return counts, by_hour


def is_quiet(state, place):
    """Whether the conversation is in the stage, and somebody may still say something."""
    return state["pointer"] == place + 1 and not state["ended"] and not state["silent"]


def walk(events, question):
    """Where a conversation stands after each of its events."""
    steps = [step["match"] for step in question["funnel"]["steps"]]
    pointer, ended, agent_owes = 0, False, False
    states = []
    for event in events:
        kind = event["event"]
        if pointer < len(steps) and matches(event, steps[pointer]):
            pointer += 1
        if question.get("ended") and matches(event, question["ended"]):
            ended = True
        elif question.get("reopened") and matches(event, question["reopened"]):
            ended = False
        if kind == "customer_message":
            agent_owes = True
        elif kind in ("agent_message", "resolution"):
            agent_owes = False
        states.append(
            {
                "ts": seconds(event["ts"]),
                "pointer": pointer,
                "ended": ended,
                "agent_owes": agent_owes,
                # After a resolution nobody is expected to say anything.
                "silent": kind == "resolution",
                "is_return": kind not in AGENT | MACHINE,
            }
        )
    return states


def matches(event, match):
    """D2, as far as the questions about stalls use it."""
    if "any" in match:
        return any(matches(event, part) for part in match["any"])
    if match.get("where"):
        raise ValueError("a condition on a stage is not recounted")
    return event["event"] == match["event"]


def read(source):
    """Conversations with their events in order; redeliveries are dropped."""
    seen, histories = set(), defaultdict(list)
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            if event["id"] not in seen:
                seen.add(event["id"])
                histories[event["conversation"]].append(event)
    for events in histories.values():
        events.sort(key=lambda event: (seconds(event["ts"]), event["seq"]))
    return histories


def seconds(text):
    """An instant of RFC 3339 in whole seconds since 1970."""
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
