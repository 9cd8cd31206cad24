"""Resource names in every field that takes one."""

from rubbish.build import changed
from rubbish.case import OK, Case, invalid, missing

# Method: field, collection, and whether the field may be empty.
FIELDS = {
    "FunnelService/GetFunnel": [("name", "funnels")],
    "FunnelService/UpdateFunnel": [("funnel.name", "funnels")],
    "FunnelService/DeleteFunnel": [("name", "funnels")],
    "FunnelService/ListFunnelRevisions": [("parent", "funnels")],
    "FunnelService/GetFunnelFill": [("funnel", "funnels")],
    "FunnelService/CancelFunnelFill": [("funnel", "funnels")],
    "MetricsService/QueryFunnel": [("funnel", "funnels")],
    "MetricsService/ListFunnelSubjects": [("funnel", "funnels")],
    "ConversationService/GetConversation": [("name", "conversations")],
    "ConversationService/UpdateConversationAttributes": [("name", "conversations")],
    "ConversationService/ListConversationEvents": [("parent", "conversations")],
    "ConversationService/GetConversationTimeline": [("name", "conversations")],
    "ConversationService/EraseConversation": [("name", "conversations")],
    "CustomerService/GetCustomer": [("name", "customers")],
    "CustomerService/UpdateCustomerAttributes": [("name", "customers")],
    "CustomerService/ListCustomerEvents": [("parent", "customers")],
    "CustomerService/GetCustomerTimeline": [("name", "customers")],
    "CustomerService/EraseCustomer": [("name", "customers")],
    "SequenceService/GetSequence": [("name", "sequences")],
    "SequenceService/UpdateSequence": [("sequence.name", "sequences")],
    "SequenceService/DeleteSequence": [("name", "sequences")],
    "SequenceService/StartSequence": [("name", "sequences")],
    "SequenceService/PauseSequence": [("name", "sequences")],
    "SequenceService/ResumeSequence": [("name", "sequences")],
    "SequenceService/ArchiveSequence": [("name", "sequences")],
    "SequenceService/PreviewSequence": [("name", "sequences")],
    "SequenceService/SimulateSequence": [("sequence", "sequences")],
    "DestinationService/GetDestination": [("name", "destinations")],
    "DestinationService/UpdateDestination": [("destination.name", "destinations")],
    "DestinationService/DeleteDestination": [("name", "destinations")],
    "DestinationService/TestDestination": [("name", "destinations")],
    "DestinationService/RotateWebhookSecret": [("name", "destinations")],
    "DestinationService/EnableDestination": [("name", "destinations")],
    "DestinationService/DisableDestination": [("name", "destinations")],
    "MetricsService/QueryRecovery": [("sequence", "sequences")],
    "MetricsService/QueryTargetExperiment": [("funnel", "funnels")],
    "RunService/GetRun": [("name", "runs")],
    "RunService/CancelRun": [("name", "runs")],
    "RunService/StartRun": [("sequence", "sequences"), ("conversation", "conversations")],
    "RunService/PauseRun": [("name", "runs")],
    "RunService/ResumeRun": [("name", "runs")],
    "RunService/ListRunEvents": [("parent", "runs")],
    "RunService/Explain": [("name", "runs")],
    "DeliveryService/GetDelivery": [("name", "deliveries")],
    "DeliveryService/CancelDelivery": [("name", "deliveries")],
    "DeliveryService/ResolveDelivery": [("name", "deliveries")],
    "ReplayService/CreateReplay": [("replay.delivery", "deliveries"), ("replay.run", "runs")],
    "ReplayService/GetReplay": [("name", "replays")],
    "ReplayService/CancelReplay": [("name", "replays")],
    "SuppressionService/RemoveSuppression": [("name", "suppressions")],
}
# The same for fields that may be empty: conditions of lists.
CONDITIONS = {
    "RunService/ListRuns": [("sequence", "sequences"), ("conversation", "conversations"), ("customer", "customers")],
    "RunService/ChangeRuns": [("sequence", "sequences"), ("conversation", "conversations"), ("customer", "customers")],
    "ReplayService/CreateReplay": [
        ("replay.failures.sequence", "sequences"),
        ("replay.failures.destination", "destinations"),
    ],
    "DeliveryService/ListDeliveries": [
        ("run", "runs"),
        ("destination", "destinations"),
        ("conversation", "conversations"),
        ("customer", "customers"),
    ],
}
# Methods whose resource lies in a workspace that they name.
PARENTS = {
    "FunnelService/CreateFunnel": "parent",
    "FunnelService/ListFunnels": "parent",
    "FunnelService/CreateFunnelFromTemplate": "parent",
    "FunnelService/ListFunnelTemplates": "parent",
    "IngestService/IngestEvents": "parent",
    "IngestService/StreamEvents": "parent",
    "ConversationService/ListConversations": "parent",
    "CustomerService/ListCustomers": "parent",
    "SequenceService/CreateSequence": "parent",
    "SequenceService/ListSequences": "parent",
    "SequenceService/SimulateSequence": "parent",
    "DestinationService/CreateDestination": "parent",
    "DestinationService/ListDestinations": "parent",
    "RunService/ListRuns": "parent",
    "RunService/ChangeRuns": "parent",
    "DeliveryService/ListDeliveries": "parent",
    "ReplayService/CreateReplay": "parent",
    "ReplayService/ListReplays": "parent",
    "SuppressionService/AddSuppression": "parent",
    "SuppressionService/ListSuppressions": "parent",
    "WorkspaceService/GetWorkspace": "name",
    "WorkspaceService/UpdateWorkspace": "workspace.name",
}
REASONS = {
    "funnels": "FUNNEL_NOT_FOUND",
    "conversations": "CONVERSATION_NOT_FOUND",
    "customers": "CUSTOMER_NOT_FOUND",
    "sequences": "SEQUENCE_NOT_FOUND",
    "destinations": "DESTINATION_NOT_FOUND",
    "runs": "RUN_NOT_FOUND",
    "deliveries": "DELIVERY_NOT_FOUND",
    "suppressions": "SUPPRESSION_NOT_FOUND",
    "replays": "REPLAY_NOT_FOUND",
}
USER_IDS = {"funnels", "sequences", "destinations"}
# Methods to which a conversation or a customer need not exist yet.
CREATING = {"ConversationService/UpdateConversationAttributes", "CustomerService/UpdateCustomerAttributes"}


def malformed(collection):
    """Names that are none of a collection."""
    start = f"workspaces/default/{collection}"
    names = {
        "nonsense": "x",
        "without its id": start,
        "with an empty id": f"{start}/",
        "without its workspace": f"workspaces//{collection}/x",
        "of no workspaces": f"Workspaces/default/{collection}/x",
        "of a workspace in capitals": f"workspaces/DEFAULT/{collection}/x",
        "of another collection": "workspaces/default/others/x",
        "with too many segments": f"{start}/a/b",
        "with a slash before it": f"/{start}/x",
        "that climbs": f"{start}/../../../etc/passwd",
        "with half an escape": f"{start}/%4",
        "with an escape of nothing": f"{start}/%zz",
        "with NUL escaped": f"{start}/a%00b",
        "with a line break escaped": f"{start}/a%0Ab",
        "with bytes that are no UTF-8": f"{start}/%ff%fe",
        "with NUL": f"{start}/a\0b",
        "with an id too long": f"{start}/{'x' * 129}",
        "very long": f"{start}/{'x' * 200_000}",
    }
    if collection in USER_IDS:
        names["in capitals"] = f"{start}/Support"
        names["ending with a dash"] = f"{start}/a-"
    return names


def cases(valid):
    """Every name field with every name that is none, of nobody, or of another workspace."""
    for method, fields in FIELDS.items():
        for path, collection in fields:
            yield Case(f"{path} empty", method, changed(valid[method], path, ""), invalid(path))
            yield from wrong(valid, method, path, collection)
            if method not in CREATING:
                nobody = f"workspaces/default/{collection}/nobody-of-that-name"
                yield Case(
                    f"{path} of nothing", method, changed(valid[method], path, nobody), missing(REASONS[collection])
                )
    for method, fields in CONDITIONS.items():
        for path, collection in fields:
            yield Case(f"{path} empty", method, changed(valid[method], path, ""), OK)
            yield from wrong(valid, method, path, collection)
    for method, path in PARENTS.items():
        for name in (
            "",
            "default",
            "workspaces",
            "workspaces/",
            "workspaces/DEFAULT",
            "workspaces/default/",
            "workspaces/a/b",
            "workspaces/de\0fault",
            "workspaces/%64efault",
            f"workspaces/{'a' * 64}",
            "workspaces/" + "a" * 200_000,
        ):
            yield Case(f"{path} {name[:40]!r}", method, changed(valid[method], path, name), invalid(path))
        elsewhere = changed(valid[method], path, "workspaces/elsewhere")
        yield Case(f"{path} of another workspace", method, elsewhere, missing("WORKSPACE_NOT_FOUND"))


def wrong(valid, method, path, collection):
    """Names that are none, and one of another workspace."""
    for name, text in malformed(collection).items():
        yield Case(f"{path} {name}", method, changed(valid[method], path, text), invalid(path))
    elsewhere = changed(valid[method], path, f"workspaces/elsewhere/{collection}/x")
    yield Case(f"{path} of another workspace", method, elsewhere, missing("WORKSPACE_NOT_FOUND"))


def revisions(valid):
    """Names of revisions."""
    method, start = "FunnelService/GetFunnelRevision", "workspaces/default/funnels/support/revisions"
    for number in ("", "0", "01", "-1", "+1", "1.0", "1e0", "x", "2147483648", "9" * 50, "1/2", "1\0", "٣"):
        yield Case(
            f"revision {number[:20]!r}", method, changed(valid[method], "name", f"{start}/{number}"), invalid("name")
        )
    unknown = changed(valid[method], "name", f"{start}/2147483647")
    yield Case("a revision that was never published", method, unknown, missing("FUNNEL_REVISION_NOT_FOUND"))
    nobody = changed(valid[method], "name", "workspaces/default/funnels/nobody/revisions/1")
    yield Case("a revision of nothing", method, nobody, missing("FUNNEL_NOT_FOUND"))
    for method in (
        "FunnelService/GetFunnelFill",
        "FunnelService/CancelFunnelFill",
        "MetricsService/QueryFunnel",
        "MetricsService/ListFunnelSubjects",
        "MetricsService/QueryTargetExperiment",
    ):
        for number in (-1, -(2**31)):
            yield Case(f"revision {number}", method, changed(valid[method], "revision", number), invalid("revision"))
        far = changed(valid[method], "revision", 2**31 - 1)
        yield Case("a revision that was never published", method, far, missing("FUNNEL_REVISION_NOT_FOUND"))
