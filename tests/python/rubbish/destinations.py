"""Mail servers and webhooks with one thing wrong each."""

from rubbish.build import changed, copied
from rubbish.case import OK, Below, Case, Want, invalid
from rubbish.desk import WORKSPACE
from rubbish.fields import refusal, wrong
from rubbish.values import ADDRESSES, CONTROLS, USER_IDS

CREATE = "DestinationService/CreateDestination"
KB = 1_024
HOSTS = (
    "",
    " ",
    "a b",
    "x" * 254,
    "exa mple.com",
    "http://example.com",
    "mail.example.com:25",
    "a\0b",
    "a\r\nb",
    "::g",
    "[127.0.0.1",
    "example.com/",
    "user@example.com",
    "%00",
    "..",
    "mail..example.com",
)
URLS = (
    "",
    " ",
    "example.com",
    "//example.com",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com:443/",
    "javascript:alert(1)",
    "http://example.com/",
    "https://",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://example.com:22/",
    "https://example.com:80/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fc00::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2001:db8::1]/",
    "https://[2002:7f00:1::]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[::1%25eth0]/",
    "https://①②⑦.⓪.⓪.①/",
    "https://１２７.０.０.１/",
    "https://exa mple.com/",
    "https://example.com:443:443/",
    "https://[::1/",
    "https://a\0b/",
    "https://example.com/" + "x" * 2_048,
)
SECRETS = (
    "",
    "x",
    "whsec_",
    "whsec_!!!",
    "whsec_c2hvcnQ=",
    "whsec_" + "A" * 400,
    "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\0",
    "whsec_" + "x" * 100_000,
)
HEADERS = [
    {"Host": "a"},
    {"content-length": "1"},
    {"Transfer-Encoding": "chunked"},
    {"webhook-id": "1"},
    {"Webhook-Signature": "x"},
    {"": "x"},
    {"a b": "x"},
    {"a:b": "x"},
    {"é": "x"},
    {"a\r\nb": "x"},
    {"x-a": "a\r\nHost: b"},
    {"x-a": "a\0b"},
    {"x-a": "\x7f"},
    {"x-a": "v" * (KB + 1)},
    {"x" * 129: "v"},
    {f"x-{number}": "v" for number in range(21)},
]


def destinations(valid, smtp, webhook):
    """Mail servers and webhooks that are none."""
    method = CREATE
    relay, hook = valid[method], changed(valid[method], "destination", webhook)
    for host in HOSTS:
        yield wrong(relay, method, "destination.smtp.host", host)
    for port in (-1, 65_536, 2**31 - 1, -(2**31)):
        yield wrong(relay, method, "destination.smtp.port", port)
    for host in ("192.0.2.1", "[2001:db8::1]", "10.0.0.1"):
        yield Case(
            f"no TLS to {host}",
            method,
            changed(relay, "destination.smtp.host", host),
            refusal(method, "destination.smtp.tls"),
        )
    for text in (*CONTROLS, "x" * 256):
        yield wrong(relay, method, "destination.smtp.username", text)
    for text in ("a\0b", "a\r\nb", "x" * 256):
        yield wrong(relay, method, "destination.smtp.password", text)
    for text in (*CONTROLS, "x" * 257):
        yield wrong(relay, method, "destination.smtp.sender.displayName", text)
    for address in ADDRESSES:
        yield wrong(relay, method, "destination.smtp.sender.address", address)
    yield Case(
        "a name without a password",
        method,
        changed(relay, "destination.smtp.password", ""),
        refusal(method, "destination.smtp.password"),
    )
    for url in URLS:
        yield wrong(hook, method, "destination.webhook.url", url)
    for secret in SECRETS:
        yield Case(
            f"secret {secret[:12]!r}",
            method,
            changed(hook, "destination.webhook.secrets", [secret]),
            refusal(method, "destination.webhook.secrets[0]"),
        )
        rotate = "DestinationService/RotateWebhookSecret"
        yield Case(
            f"secret {secret[:12]!r}",
            rotate,
            changed(valid[rotate], "secret", secret),
            invalid("secret", reason="DESTINATION_INVALID"),
        )
    good = hook.destination.webhook.secrets[0]
    for name, secrets in (("no secret", []), ("three secrets", [good[:-2] + letter + "=" for letter in "AEI"])):
        yield Case(
            name,
            method,
            changed(hook, "destination.webhook.secrets", secrets),
            refusal(method, "destination.webhook.secrets"),
        )
    for headers in HEADERS:
        yield Case(
            f"headers {str(headers)[:30]}",
            method,
            changed(hook, "destination.webhook.headers", headers),
            refusal(method, "destination.webhook.headers"),
        )
    yield wrong(relay, method, "destination.displayName", "x" * 257)
    yield Case(
        "neither mail server nor webhook",
        method,
        changed(relay, "destination.smtp", None),
        refusal(method, "destination"),
    )
    yield Case("no destination", method, changed(relay, "destination", None), invalid("destination"))
    yield Case("a request id that is none", method, changed(relay, "requestId", "a b"), invalid("requestId"))
    for name, text in USER_IDS.items():
        yield Case(f"destinationId {name}", method, changed(relay, "destinationId", text), invalid("destinationId"))
    yield Case(
        "an id that is taken",
        method,
        changed(relay, "destinationId", "relay"),
        Want("ALREADY_EXISTS", "DESTINATION_EXISTS"),
    )
    reused = changed(changed(relay, "requestId", "made-hook"), "destinationId", "never-made")
    yield Case("a request id of another request", method, reused, Want("ALREADY_EXISTS", "REQUEST_ID_REUSED"))
    change = "DestinationService/UpdateDestination"
    yield Case("no destination", change, changed(valid[change], "destination", None), invalid("destination"))
    for paths in (["state"], ["nothing"], ["smtp.secret"], ["x" * 100_000]):
        masked = copied(valid[change])
        masked.update_mask.paths.extend(paths)
        yield Case(f"mask {str(paths)[:30]}", change, masked, invalid("updateMask"))
    yield Case(
        "a stale etag", change, changed(valid[change], "destination.etag", "stale"), Want("ABORTED", "STALE_ETAG")
    )
    other = changed(valid[change], "destination", smtp)
    other.destination.name = f"{WORKSPACE}/destinations/hook"
    yield Case("another kind", change, other, Below("destination"))
    remove = "DestinationService/DeleteDestination"
    yield Case("a stale etag", remove, changed(valid[remove], "etag", "stale"), Want("ABORTED", "STALE_ETAG"))
    yield Case("in use", remove, valid[remove], Want("FAILED_PRECONDITION", "DESTINATION_IN_USE"))
    yield Case(
        "in use",
        "FunnelService/DeleteFunnel",
        valid["FunnelService/DeleteFunnel"],
        Want("FAILED_PRECONDITION", "FUNNEL_IN_USE"),
    )
    rotate = "DestinationService/RotateWebhookSecret"
    yield Case(
        "of a mail server",
        rotate,
        changed(valid[rotate], "name", f"{WORKSPACE}/destinations/relay"),
        invalid("name", reason="DESTINATION_INVALID"),
    )
    trial = "DestinationService/TestDestination"
    for address in (
        "",
        " ",
        "ann",
        "ann@",
        "a\0b@example.com",
        "ann@example.com\r\nRCPT TO:<eve@example.com>",
        "x" * 100_000,
    ):
        yield Case(
            f"recipient {address[:12]!r}", trial, changed(valid[trial], "recipient", address), invalid("recipient")
        )
    yield Case(
        "a recipient who is suppressed",
        trial,
        changed(valid[trial], "recipient", "Eve@Example.com"),
        Want("FAILED_PRECONDITION", "RECIPIENT_SUPPRESSED"),
    )
    yield Case("a relay at which nobody listens", trial, valid[trial], OK)
