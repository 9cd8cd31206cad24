"""What exists before the rubbish comes, and one request to every method that nothing is wrong with."""

import grpc

from checks.report import Failed
from rubbish.build import message
from rubbish.case import OK, Case, missing

WORKSPACE = "workspaces/default"
FUNNEL = f"{WORKSPACE}/funnels/support"
CONVERSATION = f"{WORKSPACE}/conversations/c-1"
CUSTOMER = f"{WORKSPACE}/customers/ada"
SEQUENCE = f"{WORKSPACE}/sequences/nudge"
RELAY = f"{WORKSPACE}/destinations/relay"
HOOK = f"{WORKSPACE}/destinations/hook"
NOBODY = "0190b5a2-7d1a-7000-8000-000000000000"
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
AT = "2026-03-02T09:00:00Z"

STAGES = [
    {
        "id": "asked",
        "enter": [{"eventTypes": ["customer_message"], "where": "event.public"}],
        "stall": {"after": "3600s", "basis": "TIME_BASIS_WALL", "owedBy": "OWED_BY_ANYONE"},
        "targetExperiment": {
            "id": "faster",
            "arms": [{"id": "hour", "after": "3600s", "weight": 1}, {"id": "half", "after": "1800s", "weight": 1}],
        },
        "abandon": {"after": "7200s"},
        "touchpoints": ["chat"],
        "resources": ["macros"],
    },
    {"id": "answered", "enter": [{"eventTypes": ["agent_message"]}], "requires": ["asked"], "window": "86400s"},
    {
        "id": "thanked",
        "enter": [{"eventTypes": ["customer_message"], "where": "event.closing"}],
        "goal": "GOAL_KIND_RESOLUTION",
    },
]
FUNNEL_BODY = {
    "displayName": "Support",
    "description": "from question to answer",
    "subject": "SUBJECT_KIND_CONVERSATION",
    "order": "STAGE_ORDER_ORDERED",
    "stages": STAGES,
    "conversionWindow": "604800s",
    "exclusions": [{"match": {"eventTypes": ["spam"]}, "fromStage": "asked", "toStage": "answered"}],
    "where": "event.properties.plan != 'test'",
    "ended": [{"eventTypes": ["resolution"]}],
    "reopened": [{"eventTypes": ["reopen"]}],
    "episodeRules": {"sameIssueWithin": "86400s", "pleasantryGrace": "3600s"},
    "breakdowns": [{"scope": "PROPERTY_SCOPE_EVENT", "key": "plan"}],
    "startsTime": "2020-01-01T00:00:00Z",
    "goals": ["an answer"],
    "personas": ["somebody"],
    "resources": ["a desk"],
    "notes": "mind the tone",
}
MAIL = {
    "destination": RELAY,
    "subject": "Still there, {{ customer.name | default('you') }}?",
    "text": "Hello. {{ unsubscribe_url }}",
    "html": '<p>Hello. <a href="{{ unsubscribe_url }}">stop</a></p>',
    "to": "{{ customer.email | default('nobody@example.com') }}",
}
SEQUENCE_BODY = {
    "displayName": "Nudge",
    "trigger": {"funnel": FUNNEL, "stage": "asked", "on": "SILENCE_KIND_STALLED"},
    "steps": [
        {"id": "patience", "wait": {"duration": "3600s"}},
        {"id": "ask", "sendEmail": MAIL},
        {"id": "tell", "callWebhook": {"destination": HOOK, "body": '{"a": 1}'}},
    ],
    "maxDelay": "3600s",
}
SMTP = {
    "displayName": "Relay",
    "smtp": {
        "host": "127.0.0.1",
        "port": 9,
        "tls": "SMTP_TLS_PLAINTEXT_LOOPBACK",
        "username": "shop",
        "password": "hunter2",
        "sender": {"displayName": "Shop", "address": "shop@example.com"},
    },
}
WEBHOOK = {
    "displayName": "Hook",
    "webhook": {"url": "https://hooks.example.com/in", "secrets": [SECRET], "headers": {"x-shop": "1"}},
}
SETTINGS = {
    "name": WORKSPACE,
    "displayName": "Shop",
    "defaultZone": "Europe/Berlin",
    "calendars": {
        "office": {"hours": "Mo-Fr 09:00-17:00; PH off", "holidays": ["2026-05-01"], "zone": "Europe/Berlin"}
    },
    "sender": {"displayName": "Shop", "address": "shop@example.com"},
    "replyTo": "desk@example.com",
    "unsubscribe": {"mailto": "stop@example.com"},
}
EVENT = {
    "id": "e-1",
    "conversation": "c-1",
    "customer": "ada",
    "type": "customer_message",
    "occurTime": AT,
    "text": "it does not start",
    "properties": {"plan": "pro"},
}
SUPPRESSION = {"address": "eve@example.com", "note": "asked by phone"}

# One request to every method, in proto JSON, after the resources above exist.
REQUESTS = {
    "FunnelService/CreateFunnel": {
        "parent": WORKSPACE,
        "funnelId": "new",
        "funnel": FUNNEL_BODY,
        "requestId": "r",
        "validateOnly": True,
    },
    "FunnelService/GetFunnel": {"name": FUNNEL},
    "FunnelService/ListFunnels": {"parent": WORKSPACE},
    "FunnelService/UpdateFunnel": {"funnel": {**FUNNEL_BODY, "name": FUNNEL}, "validateOnly": True},
    "FunnelService/DeleteFunnel": {"name": FUNNEL},
    "FunnelService/GetFunnelRevision": {"name": f"{FUNNEL}/revisions/1"},
    "FunnelService/ListFunnelRevisions": {"parent": FUNNEL},
    "FunnelService/CreateFunnelFromTemplate": {
        "parent": WORKSPACE,
        "template": "support",
        "funnelId": "new",
        "displayName": "New",
        "validateOnly": True,
    },
    "FunnelService/ListFunnelTemplates": {"parent": WORKSPACE},
    "FunnelService/GetFunnelFill": {"funnel": FUNNEL},
    "FunnelService/CancelFunnelFill": {"funnel": FUNNEL},
    "IngestService/IngestEvents": {"parent": WORKSPACE, "events": [EVENT]},
    "IngestService/StreamEvents": {"parent": WORKSPACE, "sequence": 1, "events": [EVENT]},
    "MetricsService/QueryFunnel": {
        "funnel": FUNNEL,
        "period": {"startTime": AT, "endTime": "2026-04-02T09:00:00Z"},
        "asOfTime": "2026-05-02T09:00:00Z",
        "filter": "event.properties.plan == 'pro'",
        "breakdowns": [{"property": {"scope": "PROPERTY_SCOPE_EVENT", "key": "plan"}, "topN": 5}],
        "trend": {"granularity": "GRANULARITY_WEEK", "zone": "Europe/Berlin"},
        "compareTo": {"previousPeriod": True},
    },
    "MetricsService/ListFunnelSubjects": {
        "funnel": FUNNEL,
        "period": {"startTime": AT},
        "asOfTime": "2026-05-02T09:00:00Z",
        "filter": "event.properties.plan == 'pro'",
        "stage": "asked",
        "figure": "FUNNEL_FIGURE_REACHED",
        "breakdown": {"spec": {"property": {"scope": "PROPERTY_SCOPE_EVENT", "key": "plan"}}, "value": "pro"},
        "bucket": {"startTime": AT},
    },
    "ConversationService/GetConversation": {"name": CONVERSATION},
    "ConversationService/ListConversations": {
        "parent": WORKSPACE,
        "filter": "conversation.channel == 'chat'",
        "position": {"funnel": FUNNEL, "stage": "asked"},
    },
    "ConversationService/UpdateConversationAttributes": {
        "name": CONVERSATION,
        "attributes": {"channel": "chat"},
        "effectiveTime": AT,
        "requestId": "set-1",
        "customer": "ada",
    },
    "ConversationService/ListConversationEvents": {"parent": CONVERSATION},
    "ConversationService/GetConversationTimeline": {"name": CONVERSATION},
    "ConversationService/EraseConversation": {"name": CONVERSATION},
    "CustomerService/GetCustomer": {"name": CUSTOMER},
    "CustomerService/ListCustomers": {"parent": WORKSPACE, "filter": "customer.plan == 'pro'"},
    "CustomerService/UpdateCustomerAttributes": {
        "name": CUSTOMER,
        "attributes": {"plan": "pro"},
        "effectiveTime": AT,
        "requestId": "set-2",
    },
    "CustomerService/ListCustomerEvents": {"parent": CUSTOMER},
    "CustomerService/GetCustomerTimeline": {"name": CUSTOMER},
    "CustomerService/EraseCustomer": {"name": CUSTOMER},
    "SequenceService/CreateSequence": {
        "parent": WORKSPACE,
        "sequenceId": "new",
        "sequence": SEQUENCE_BODY,
        "requestId": "r",
        "validateOnly": True,
    },
    "SequenceService/GetSequence": {"name": SEQUENCE},
    "SequenceService/ListSequences": {"parent": WORKSPACE},
    "SequenceService/UpdateSequence": {"sequence": {**SEQUENCE_BODY, "name": SEQUENCE}, "validateOnly": True},
    "SequenceService/DeleteSequence": {"name": SEQUENCE},
    "SequenceService/StartSequence": {"name": SEQUENCE},
    "SequenceService/PauseSequence": {"name": SEQUENCE},
    "SequenceService/ResumeSequence": {"name": SEQUENCE},
    "SequenceService/ArchiveSequence": {"name": SEQUENCE},
    "SequenceService/PreviewSequence": {"name": SEQUENCE, "sample": {"customer": {"name": "Ada"}}},
    "SequenceService/SimulateSequence": {
        "parent": WORKSPACE,
        "draft": SEQUENCE_BODY,
        "period": {"startTime": AT},
        "sampleCount": 2,
    },
    "DestinationService/CreateDestination": {
        "parent": WORKSPACE,
        "destinationId": "new",
        "destination": SMTP,
    },
    "DestinationService/GetDestination": {"name": RELAY},
    "DestinationService/ListDestinations": {"parent": WORKSPACE},
    "DestinationService/UpdateDestination": {"destination": {**WEBHOOK, "name": HOOK}},
    "DestinationService/DeleteDestination": {"name": RELAY},
    "DestinationService/TestDestination": {"name": RELAY, "recipient": "ada@example.com"},
    "DestinationService/RotateWebhookSecret": {"name": HOOK, "secret": SECRET},
    "DestinationService/EnableDestination": {"name": HOOK},
    "DestinationService/DisableDestination": {"name": HOOK},
    "MetricsService/QueryRecovery": {"sequence": SEQUENCE},
    "MetricsService/QueryTargetExperiment": {"funnel": FUNNEL, "stage": "asked"},
    "RunService/GetRun": {"name": f"{WORKSPACE}/runs/{NOBODY}"},
    "RunService/ListRuns": {"parent": WORKSPACE},
    "RunService/CancelRun": {"name": f"{WORKSPACE}/runs/{NOBODY}"},
    "RunService/StartRun": {"sequence": SEQUENCE, "conversation": CONVERSATION},
    "RunService/PauseRun": {"name": f"{WORKSPACE}/runs/{NOBODY}"},
    "RunService/ResumeRun": {"name": f"{WORKSPACE}/runs/{NOBODY}"},
    "RunService/ChangeRuns": {
        "parent": WORKSPACE,
        "change": "CHANGE_PAUSE",
        "sequence": SEQUENCE,
        "customer": CUSTOMER,
    },
    "RunService/ListRunEvents": {"parent": f"{WORKSPACE}/runs/{NOBODY}"},
    "RunService/Explain": {"name": f"{WORKSPACE}/runs/{NOBODY}"},
    "DeliveryService/GetDelivery": {"name": f"{WORKSPACE}/deliveries/x"},
    "DeliveryService/ListDeliveries": {"parent": WORKSPACE},
    "DeliveryService/CancelDelivery": {"name": f"{WORKSPACE}/deliveries/x"},
    "DeliveryService/ResolveDelivery": {
        "name": f"{WORKSPACE}/deliveries/x",
        "resolution": "RESOLUTION_DELIVERED",
        "note": "seen",
    },
    "ReplayService/CreateReplay": {
        "parent": WORKSPACE,
        "replay": {"failures": {"period": {"startTime": AT}, "sequence": SEQUENCE, "destination": RELAY}},
        "requestId": "r",
        "validateOnly": True,
    },
    "ReplayService/GetReplay": {"name": f"{WORKSPACE}/replays/{NOBODY}"},
    "ReplayService/ListReplays": {"parent": WORKSPACE},
    "ReplayService/CancelReplay": {"name": f"{WORKSPACE}/replays/{NOBODY}"},
    "SuppressionService/AddSuppression": {"parent": WORKSPACE, "suppression": SUPPRESSION},
    "SuppressionService/RemoveSuppression": {"name": f"{WORKSPACE}/suppressions/address%3Aeve%40example.com"},
    "SuppressionService/ListSuppressions": {"parent": WORKSPACE, "address": "eve@example.com"},
    "WorkspaceService/GetWorkspace": {"name": WORKSPACE},
    "WorkspaceService/UpdateWorkspace": {"workspace": SETTINGS},
}
# Methods whose good request may be sent as often as one likes: what shows that only the
# mutation is wrong, and at the end that the service still does its work.
HARMLESS = [
    name
    for name, content in REQUESTS.items()
    if name.split("/")[1].startswith(("Get", "List", "Query", "Preview", "Simulate", "Ingest", "Stream", "Add"))
    or content.get("validateOnly")
    or name.endswith(("Attributes", "UpdateWorkspace", "UpdateDestination", "RotateWebhookSecret", "EnableDestination"))
]
ABSENT = {
    "RunService": "RUN_NOT_FOUND",
    "DeliveryService": "DELIVERY_NOT_FOUND",
    "ReplayService": "REPLAY_NOT_FOUND",
}


def set_up(caller, methods):
    """Creates what the requests speak of; one good request to every method, by its name."""
    first = {
        "WorkspaceService/UpdateWorkspace": [{"workspace": SETTINGS}],
        "DestinationService/CreateDestination": [
            {"parent": WORKSPACE, "destinationId": "relay", "destination": SMTP},
            {"parent": WORKSPACE, "destinationId": "hook", "destination": WEBHOOK, "requestId": "made-hook"},
        ],
        "FunnelService/CreateFunnel": [
            {"parent": WORKSPACE, "funnelId": name, "funnel": FUNNEL_BODY} for name in ("support", "other")
        ],
        "IngestService/IngestEvents": [
            {"parent": WORKSPACE, "events": [EVENT, {**EVENT, "id": "e-2", "conversation": "c-2", "customer": "bob"}]}
        ],
        "SequenceService/CreateSequence": [
            {"parent": WORKSPACE, "sequenceId": name, "sequence": SEQUENCE_BODY} for name in ("nudge", "again")
        ],
        "SuppressionService/AddSuppression": [{"parent": WORKSPACE, "suppression": SUPPRESSION}],
    }
    for name, contents in first.items():
        for content in contents:
            answer = caller.answer(Case("set up", name, message(methods[name].input, content), OK))
            if answer.code != grpc.StatusCode.OK:
                raise Failed(f"{name} does not take what is good: {answer}")
    return {name: message(methods[name].input, content) for name, content in REQUESTS.items()}


def good(valid):
    """The requests that nothing is wrong with."""
    for method in HARMLESS:
        service, verb = method.split("/")
        absent = service in ABSENT and not verb.startswith(("List", "Create")) or verb == "ListRunEvents"
        yield Case("nothing is wrong", method, valid[method], missing(ABSENT[service]) if absent else OK)
