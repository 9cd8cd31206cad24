"""Pages, enumerations, instants and durations: every field that takes one, with every value that is none."""

from rubbish.build import changed
from rubbish.case import OK, TOKEN, Case, invalid
from rubbish.values import DURATIONS, INSTANTS, STRANGERS

LISTS = (
    "FunnelService/ListFunnels",
    "FunnelService/ListFunnelRevisions",
    "FunnelService/ListFunnelTemplates",
    "MetricsService/ListFunnelSubjects",
    "ConversationService/ListConversations",
    "ConversationService/ListConversationEvents",
    "ConversationService/GetConversationTimeline",
    "CustomerService/ListCustomers",
    "CustomerService/ListCustomerEvents",
    "CustomerService/GetCustomerTimeline",
    "SequenceService/ListSequences",
    "DestinationService/ListDestinations",
    "RunService/ListRuns",
    "RunService/ListRunEvents",
    "DeliveryService/ListDeliveries",
    "ReplayService/ListReplays",
    "SuppressionService/ListSuppressions",
)
# The reason with which a method refuses a wrong definition; FIELD_INVALID elsewhere.
DEFINITIONS = {
    "FunnelService/CreateFunnel": "FUNNEL_INVALID",
    "FunnelService/UpdateFunnel": "FUNNEL_INVALID",
    "SequenceService/CreateSequence": "SEQUENCE_INVALID",
    "SequenceService/UpdateSequence": "SEQUENCE_INVALID",
    "DestinationService/CreateDestination": "DESTINATION_INVALID",
    "DestinationService/UpdateDestination": "DESTINATION_INVALID",
    "WorkspaceService/UpdateWorkspace": "WORKSPACE_INVALID",
}
# Every enumeration in a request, and whether it must be said.
ENUMS = {
    "FunnelService/CreateFunnel": {
        "funnel.subject": False,
        "funnel.order": False,
        "funnel.reentry": False,
        "funnel.stages[0].goal": False,
        "funnel.stages[0].stall.basis": False,
        "funnel.stages[0].stall.owedBy": False,
        "funnel.stages[0].abandon.basis": False,
        "funnel.breakdowns[0].scope": True,
    },
    "FunnelService/UpdateFunnel": {"livePolicy": False},
    "MetricsService/QueryFunnel": {
        "unit": False,
        "breakdowns[0].property.scope": True,
        "trend.granularity": True,
    },
    "MetricsService/ListFunnelSubjects": {"unit": False, "figure": True, "breakdown.spec.property.scope": True},
    "ConversationService/ListConversations": {"owedBy": False, "state": False, "position.state": False},
    "SequenceService/CreateSequence": {
        "sequence.trigger.on": True,
        "sequence.trigger.owedBy": False,
        "sequence.messageClass": False,
        "sequence.steps[0].wait.basis": False,
        "sequence.steps[1].unknownOutcome": False,
    },
    "SequenceService/UpdateSequence": {"runPolicy": False},
    "DestinationService/CreateDestination": {"destination.smtp.tls": False},
    "RunService/ListRuns": {"state": False},
    "RunService/ChangeRuns": {"change": True},
    "DeliveryService/ListDeliveries": {"state": False},
    "DeliveryService/ResolveDelivery": {"resolution": True},
    "SuppressionService/AddSuppression": {"suppression.reason": False},
    "SuppressionService/ListSuppressions": {"reason": False},
}
TIMES = {
    "FunnelService/CreateFunnel": ["funnel.startsTime"],
    "MetricsService/QueryRecovery": ["period.startTime", "period.endTime", "asOfTime"],
    "MetricsService/QueryTargetExperiment": ["period.startTime", "period.endTime", "asOfTime"],
    "SequenceService/SimulateSequence": ["period.startTime", "period.endTime"],
    "ReplayService/CreateReplay": ["replay.failures.period.startTime", "replay.failures.period.endTime"],
    "MetricsService/QueryFunnel": ["period.startTime", "period.endTime", "asOfTime"],
    "MetricsService/ListFunnelSubjects": ["period.startTime", "asOfTime", "bucket.startTime", "bucket.endTime"],
    "ConversationService/UpdateConversationAttributes": ["effectiveTime"],
    "CustomerService/UpdateCustomerAttributes": ["effectiveTime"],
}
SPANS = {
    "FunnelService/CreateFunnel": [
        "funnel.conversionWindow",
        "funnel.stages[1].window",
        "funnel.stages[0].stall.after",
        "funnel.stages[0].targetExperiment.arms[1].after",
        "funnel.stages[0].abandon.after",
        "funnel.episodeRules.sameIssueWithin",
        "funnel.episodeRules.pleasantryGrace",
    ],
    "SequenceService/CreateSequence": ["sequence.maxDelay", "sequence.steps[0].wait.duration"],
}


def refusal(method, *fields):
    """The refusal of wrong fields by a method: of its definition, or of the request."""
    return invalid(*fields, reason=DEFINITIONS.get(method, "FIELD_INVALID"))


def wrong(good, method, path, value):
    """A request in which exactly one field is wrong."""
    return Case(f"{path} = {str(value)[:30]!r}", method, changed(good, path, value), refusal(method, path))


def pages(valid, tokens):
    """Sizes and tokens of pages. `tokens` are real ones, by the method that gave them."""
    for method in LISTS:
        for size in (-1, -(2**31)):
            yield Case(f"page size {size}", method, changed(valid[method], "pageSize", size), invalid("pageSize"))
        for name, token in wrong_tokens(tokens, method).items():
            yield Case(f"page token {name}", method, changed(valid[method], "pageToken", token), TOKEN)
    for method in LISTS[:3]:
        yield Case("the largest page", method, changed(valid[method], "pageSize", 2**31 - 1), OK)
    for method, token in tokens.items():
        yield Case("its own page token", method, changed(valid[method], "pageToken", token), OK)
        other = changed(changed(valid[method], "pageToken", token), "pageSize", 7)
        yield Case("its own page token with another size", method, other, OK)


def wrong_tokens(tokens, method):
    """Texts that are no token of a method's question."""
    (owner, token), *_ = [(owner, token) for owner, token in tokens.items() if owner != method]
    own = tokens.get(method, token)
    return {
        "of nothing": "!!!",
        "of base64 alone": "bm90IG91cnM",
        "of one letter": "A",
        "with NUL": "AAAA\0",
        "of zeros": "A" * 64,
        "with padding": own + "=",
        "cut short": own[:-2],
        "with one letter changed": ("B" if own[0] != "B" else "C") + own[1:],
        "with its cursor changed": own[:-1] + ("A" if own[-1] != "A" else "Q"),
        f"of {owner}": token,
        "too long": "A" * 5_000,
        "very long": "A" * 200_000,
        "of JSON": '{"t":0}',
    }


def enums(valid):
    """Numbers that no enumeration has, and nothing where something must be said."""
    for method, fields in ENUMS.items():
        for path, required in fields.items():
            numbers = (*STRANGERS, 0) if required else STRANGERS
            for number in numbers:
                yield Case(f"{path} = {number}", method, changed(valid[method], path, number), wrong_enum(method, path))


def wrong_enum(method, path):
    """A policy for live journeys or runs stands beside the definition."""
    return invalid(path) if path in ("livePolicy", "runPolicy") else refusal(method, path)


def times(valid):
    """Instants and durations that are none."""
    # The period before a period is asked for only where that has both ends.
    query = "MetricsService/QueryFunnel"
    valid = valid | {query: changed(valid[query], "compareTo", None)}
    for method, paths in TIMES.items():
        for path in paths:
            for name, value in INSTANTS.items():
                yield Case(f"{path} {name}", method, changed(valid[method], path, value), refusal(method, path))
    for method, paths in SPANS.items():
        for path in paths:
            for name, value in DURATIONS.items():
                yield Case(f"{path} {name}", method, changed(valid[method], path, value), refusal(method, path))
    for method, path, value in (
        ("FunnelService/CreateFunnel", "funnel.stages[0].stall.after", (0, 0)),
        ("FunnelService/CreateFunnel", "funnel.stages[0].stall.after", None),
        ("FunnelService/CreateFunnel", "funnel.stages[0].targetExperiment.arms[1].after", (0, 0)),
        ("FunnelService/CreateFunnel", "funnel.stages[0].targetExperiment.arms[1].after", None),
        ("SequenceService/CreateSequence", "sequence.steps[0].wait.duration", (0, 0)),
        ("SequenceService/CreateSequence", "sequence.steps[0].wait.duration", None),
        ("SequenceService/CreateSequence", "sequence.steps[0].wait.duration", (366 * 86_400, 1_000)),
        ("SequenceService/CreateSequence", "sequence.maxDelay", (30 * 86_400, 1_000)),
        ("SequenceService/CreateSequence", "sequence.maxDelay", (0, 0)),
    ):
        yield Case(f"{path} = {value}", method, changed(valid[method], path, value), refusal(method, path))
