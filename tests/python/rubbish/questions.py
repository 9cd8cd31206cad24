"""Questions: metrics, lists and their filters, attributes, previews, suppressions."""

from rubbish.build import changed, copied, nested, struct
from rubbish.case import OK, Case, Want, invalid
from rubbish.desk import WORKSPACE
from rubbish.events import LARGE, MANY
from rubbish.values import NAMES, PREDICATES

# Filters stand over attributes alone, or over events too.
FILTERS = (
    "MetricsService/QueryFunnel",
    "MetricsService/ListFunnelSubjects",
    "ConversationService/ListConversations",
    "CustomerService/ListCustomers",
)
BAD_STRUCTS = [
    ("a number that is none", {"n": float("nan")}, "n"),
    ("an infinite number", {"n": float("inf")}, "n"),
    ("an infinite number inside", {"a": [{"b": -float("inf")}]}, "a[0].b"),
]


def metrics(valid):
    """Questions about figures."""
    query, subjects = "MetricsService/QueryFunnel", "MetricsService/ListFunnelSubjects"
    good = valid[query]
    backwards = changed(good, "period.endTime", (good.period.start_time.seconds, 0))
    yield Case("a period of nothing", query, backwards, invalid("period.endTime"))
    for key in ("", "k" * 129, "k" * 100_000):
        yield Case(
            f"a breakdown by {key[:4]!r}",
            query,
            changed(good, "breakdowns[0].property.key", key),
            invalid("breakdowns[0].property.key"),
        )
        yield Case(
            f"a breakdown by {key[:4]!r}",
            subjects,
            changed(valid[subjects], "breakdown.spec.property.key", key),
            invalid("breakdown.spec.property.key"),
        )
    for top in (-1, 1_001, 2**31 - 1, -(2**31)):
        yield Case(f"topN {top}", query, changed(good, "breakdowns[0].topN", top), invalid("breakdowns[0].topN"))
    yield Case("6 breakdowns", query, changed(good, "breakdowns", [good.breakdowns[0]] * 6), invalid("breakdowns"))
    nothing = changed(good, "breakdowns[0].property", None)
    yield Case(
        "a breakdown by no property",
        query,
        nothing,
        invalid("breakdowns[0].property", "breakdowns[0].property.key", "breakdowns[0].property.scope"),
    )
    for zone in ("Mars/Olympus", "../../etc/passwd", "/etc/localtime", "x" * 65, "UTC\0", "x" * 100_000, "right/UTC "):
        yield Case(f"zone {zone[:12]!r}", query, changed(good, "trend.zone", zone), invalid("trend.zone"))
    open_end = changed(good, "period.endTime", None)
    yield Case("the period before an open one", query, open_end, invalid("compareTo.previousPeriod"))
    yield Case(
        "a comparison with nothing", query, changed(good, "compareTo.previousPeriod", None), invalid("compareTo")
    )
    false = copied(good)
    false.compare_to.previous_period = False
    yield Case("a comparison with not the period before", query, false, invalid("compareTo.previousPeriod"))
    good = valid[subjects]
    yield Case("no stage", subjects, changed(good, "stage", ""), invalid("stage"))
    for stage in ("nowhere", "a\0b", "x" * 100_000):
        yield Case(f"stage {stage[:8]!r}", subjects, changed(good, "stage", stage), invalid("stage"))
    never = changed(good, "figure", 9)
    yield Case("a stage of those who never entered", subjects, never, invalid("stage"))
    yield Case(
        "no breakdown of a group",
        subjects,
        changed(good, "breakdown.spec", None),
        invalid(
            "breakdown.spec", "breakdown.spec.property", "breakdown.spec.property.key", "breakdown.spec.property.scope"
        ),
    )
    both = changed(good, "breakdown.isOther", True)
    yield Case("a value and the rest", subjects, both, invalid("breakdown.value"))
    empty = changed(good, "bucket.endTime", (good.bucket.start_time.seconds, 0))
    yield Case("a bucket of nothing", subjects, empty, invalid("bucket.endTime"))
    wide = changed(changed(valid[query], "trend.granularity", 1), "period.startTime", (946_684_800, 0))
    wide = changed(changed(wide, "period.endTime", (4_102_444_799, 0)), "asOfTime", (4_102_444_799, 0))
    yield Case("a trend of a hundred years", query, wide, OK)


def filters(valid):
    """Predicates in every filter."""
    for method in FILTERS:
        for name, text in PREDICATES.items():
            yield Case(f"filter {name}", method, changed(valid[method], "filter", text), invalid("filter"))
    for method in FILTERS[2:]:
        for name, text in (("over events", "event.type == 'a'"), ("over a text", "event.text.contains('a')")):
            yield Case(f"filter {name}", method, changed(valid[method], "filter", text), invalid("filter"))
    customers = "CustomerService/ListCustomers"
    over = changed(valid[customers], "filter", "conversation.channel == 'chat'")
    yield Case("filter over conversations", customers, over, invalid("filter"))
    lists = "ConversationService/ListConversations"
    for text in (
        "conversation.n == 'a\0b'",
        "conversation['a\0b'] == 1",
        "conversation.a == '\\u0000'",
        "conversation.a == '\\000'",
        "has(conversation.a) && conversation.a.contains('\\x00')",
    ):
        yield Case(f"filter {text!r}", lists, changed(valid[lists], "filter", text), invalid("filter"))
    for text in (
        "conversation['a\\'b\"c'] == 'x\\'; DROP TABLE conversations; --'",
        "conversation.a == 1e308",
        "conversation.a == 9223372036854775807",
        "conversation.a == '%_\\\\'",
        "conversation.a.matches('(a|b)*c')",
        "conversation['$.x[0]'] == 1",
        "conversation['a.b'] == 1",
        "conversation.a == ' '",
    ):
        yield Case(f"filter {text!r}", lists, changed(valid[lists], "filter", text), OK)
    for path, value in (
        ("position.funnel", ""),
        ("position.funnel", "support"),
        ("position.funnel", "workspaces/elsewhere/funnels/x"),
    ):
        yield Case(f"{path} = {value!r}", lists, changed(valid[lists], path, value), invalid(path))
    nobody = changed(valid[lists], "position.funnel", f"{WORKSPACE}/funnels/nobody")
    yield Case("a position in no funnel", lists, nobody, Want("NOT_FOUND", "FUNNEL_NOT_FOUND"))
    for stage in ("nowhere", "a\0b", "x" * 100_000):
        yield Case(
            f"a position in {stage[:8]!r}",
            lists,
            changed(valid[lists], "position.stage", stage),
            invalid("position.stage"),
        )


def attributes(valid):
    """Attributes of conversations and customers."""
    for method in ("ConversationService/UpdateConversationAttributes", "CustomerService/UpdateCustomerAttributes"):
        good = changed(valid[method], "requestId", "")
        rows = [
            ("more than 64 keys", MANY, "attributes"),
            ("more than 64 KB", LARGE, "attributes"),
            ("a key with NUL", {"a\0b": 1}, "attributes.a\0b"),
            ("an empty key", {"": 1}, "attributes."),
            ("a long key", {"k" * 129: 1}, "attributes." + "k" * 64),
            ("a long value", {"a": "x" * 1_025}, "attributes.a"),
            ("a value with NUL", {"a": "x\0"}, "attributes.a"),
            ("a value with NUL inside", {"a": {"b": ["x\0"]}}, "attributes.a"),
            ("a deep value", {"a": nested(9)}, "attributes.a"),
            ("a very deep value", {"a": nested(25)}, "attributes.a"),
            *[(name, content, f"attributes.{field}") for name, content, field in BAD_STRUCTS],
        ]
        for name, content, field in rows:
            yield Case(name, method, changed(good, "attributes", struct(content)), invalid(field))
        for name, text in NAMES.items():
            yield Case(f"requestId {name}", method, changed(good, "requestId", text), invalid("requestId"))
    method = "ConversationService/UpdateConversationAttributes"
    good = changed(valid[method], "requestId", "")
    nothing = changed(changed(good, "attributes", None), "customer", "")
    yield Case("nothing to set", method, nothing, invalid("attributes"))
    for name, text in NAMES.items():
        yield Case(f"customer {name}", method, changed(good, "customer", text), invalid("customer"))
    other = changed(valid[method], "attributes", struct({"channel": "mail"}))
    yield Case("a request id of another request", method, other, Want("ALREADY_EXISTS", "REQUEST_ID_REUSED"))
    preview = "SequenceService/PreviewSequence"
    for name, content, field in BAD_STRUCTS:
        yield Case(
            f"a sample with {name}",
            preview,
            changed(valid[preview], "sample", struct(content)),
            invalid(f"sample.{field}"),
        )
    for name, content in (
        ("nothing", {}),
        ("strange values", {"customer": 7, "funnel": [1], "silence": None}),
        ("a deep value", {"customer": {"a": nested(25)}}),
        ("many keys", MANY),
        ("a large text", {"customer": {"name": "x" * 500_000}}),
        ("NUL", {"customer": {"name": "a\0b"}}),
    ):
        yield Case(f"a sample with {name}", preview, changed(valid[preview], "sample", struct(content)), OK)
    for name in ("x", f"{WORKSPACE}/customers/ada", f"{WORKSPACE}/conversations/a%00b"):
        asked = copied(valid[preview])
        asked.conversation = name
        yield Case(f"of {name[-10:]!r}", preview, asked, invalid("conversation"))
    nobody = copied(valid[preview])
    nobody.conversation = f"{WORKSPACE}/conversations/nobody"
    yield Case("of a conversation that is not there", preview, nobody, Want("NOT_FOUND", "CONVERSATION_NOT_FOUND"))
    simulate = "SequenceService/SimulateSequence"
    for samples in (-1, 11, 2**31 - 1, -(2**31)):
        yield Case(f"{samples} samples", simulate, changed(valid[simulate], "sampleCount", samples), invalid("sampleCount"))
    yield Case("nothing to simulate", simulate, changed(valid[simulate], "draft", None), invalid("draft"))
    for path, value in (("draft.trigger.stage", "nowhere"), ("draft.entryFilter", "event.type =="), ("draft.trigger.on", 0)):
        asked = changed(valid[simulate], path, value)
        yield Case(f"{path} = {value!r}", simulate, asked, invalid(path, reason="SEQUENCE_INVALID"))
    warned = changed(valid[simulate], "draft.trigger.on", 3)
    yield Case("a simulation on warnings", simulate, warned, invalid("draft.trigger.on", reason="SEQUENCE_INVALID"))


def suppressions(valid):
    """Entries that name nobody."""
    method = "SuppressionService/AddSuppression"
    good = valid[method]
    for address in (
        "ann",
        "@example.com",
        "ann@",
        "a b@example.com",
        "a@b@c",
        "<ann@example.com>",
        "ann@-x.com",
        "a\0@example.com",
        "a@exam\0ple.com",
        "a@example.com\r\nb",
        f"{'a' * 65}@example.com",
        "a@" + "b." * 130 + "com",
        "x" * 100_000,
    ):
        yield Case(
            f"address {address[:16]!r}",
            method,
            changed(good, "suppression.address", address),
            invalid("suppression.address"),
        )
        lists = "SuppressionService/ListSuppressions"
        yield Case(f"address {address[:16]!r}", lists, changed(valid[lists], "address", address), invalid("address"))
    for domain in ("", "a..b", "exa mple", "x@example.com", "-a.com", "a\0b", "a" * 64, "x" * 100_000, "a." * 130):
        yield Case(
            f"domain {domain[:16]!r}",
            method,
            changed(good, "suppression.domain", domain),
            invalid("suppression.domain"),
        )
    for customer in ("", "ada", f"{WORKSPACE}/conversations/c", f"{WORKSPACE}/customers/a%00b"):
        yield Case(
            f"customer {customer[-12:]!r}",
            method,
            changed(good, "suppression.customer", customer),
            invalid("suppression.customer"),
        )
    yield Case("nobody", method, changed(good, "suppression.address", None), invalid("suppression"))
    yield Case("nothing", method, changed(good, "suppression", None), invalid("suppression"))
    yield Case("a note too long", method, changed(good, "suppression.note", "x" * 1_025), invalid("suppression.note"))
    remove = "SuppressionService/RemoveSuppression"
    for ending in ("x", "address", "address%3A", "nobody%3Aa", "address%3Aa%40b%40c", "domain%3A..", "customer%3A"):
        gone = changed(valid[remove], "name", f"{WORKSPACE}/suppressions/{ending}")
        yield Case(f"of {ending!r}", remove, gone, Want("NOT_FOUND", "SUPPRESSION_NOT_FOUND"))
    resolve = "DeliveryService/ResolveDelivery"
    yield Case("a note too long", resolve, changed(valid[resolve], "note", "x" * 1_025), invalid("note"))
