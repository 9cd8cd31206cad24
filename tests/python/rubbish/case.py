"""One case: a request, and what it must be answered with."""

import itertools
import time
from dataclasses import dataclass, field

import grpc

from checks.errors import DOMAIN, read

# No answer to rubbish takes this long, in a debug build on a busy machine.
DEADLINE_SECONDS = 25
# Times that a case is tried again when the answer says so, as any client would.
RETRIES = 5
# What a client must never see, whatever it sends.
FAULTS = {"INTERNAL", "UNKNOWN", "DATA_LOSS", "CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE"}


@dataclass
class Want:
    """An answer: `OK`, or a code with its reason and exactly these fields."""

    code: str
    reason: str = ""
    fields: tuple = ()

    def differs(self, found):
        """What is wrong with an answer, or None."""
        got = Want(found.code.name, found.reason, tuple(sorted(found.fields)))
        if got.code != self.code or got.reason != self.reason or got.fields != tuple(sorted(self.fields)):
            return f"expected {self}, got {got}: {found.message[:200]!r}"
        return None

    def __str__(self):
        return " ".join(filter(None, [self.code, self.reason, ", ".join(sorted(self.fields))]))


OK = Want("OK")


def invalid(*fields, reason="FIELD_INVALID"):
    """`INVALID_ARGUMENT` that names exactly these fields."""
    return Want("INVALID_ARGUMENT", reason, fields)


def missing(reason):
    """`NOT_FOUND` of one kind of resource."""
    return Want("NOT_FOUND", reason)


TOKEN = invalid("pageToken", reason="PAGE_TOKEN_INVALID")
MALFORMED = Want("INVALID_ARGUMENT", "REQUEST_MALFORMED")
TOO_LARGE = Want("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE")


class Some:
    """A refusal like `right` that names at least one field below a path, and is no larger than a client takes."""

    def __init__(self, right, path):
        self.right = right
        self.path = path

    def differs(self, found):
        if (found.code.name, found.reason) != (self.right.code, self.right.reason):
            return f"expected {self.right}, got {found.code.name} {found.reason}: {found.message[:200]!r}"
        if not found.fields or not all(field.startswith(self.path) for field in found.fields):
            return f"expected fields below {self.path}, got {sorted(found.fields)[:5]}"
        return None

    def __str__(self):
        return f"{self.right}, fields below {self.path}"


class Below:
    """A refusal whose fields all lie at or below a path."""

    def __init__(self, path):
        self.path = path

    def differs(self, found):
        if found.code.name != "INVALID_ARGUMENT" or not found.fields:
            return f"expected INVALID_ARGUMENT below {self.path}, got {found.code.name} {found.reason} {found.message[:200]!r}"
        if not all(
            field == self.path or field.startswith((f"{self.path}.", f"{self.path}[")) for field in found.fields
        ):
            return f"expected fields below {self.path}, got {sorted(found.fields)[:5]}"
        return None

    def __str__(self):
        return f"INVALID_ARGUMENT below {self.path}"


@dataclass
class Answer:
    """What came back."""

    code: grpc.StatusCode
    message: str = ""
    reason: str = ""
    fields: set = field(default_factory=set)
    body: object = None
    retry: bool = False


@dataclass
class Case:
    """A request to a method, and the answers that are right.

    `request` is a message, raw bytes, or for a stream a list of either. `also` sees the
    answer when the code is right and returns what is wrong with it, or None.
    """

    name: str
    method: str
    request: object
    want: Want
    also: object = None


class Caller:
    """Sends cases to a running service."""

    def __init__(self, channel, methods):
        self.channel = channel
        self.methods = methods
        self.slowest = (0.0, "")

    def try_case(self, case):
        """Runs one case; what is wrong with the answer, or None."""
        started = time.monotonic()
        answer = self.answer(case)
        for _ in range(RETRIES):
            if not answer.retry:
                break
            # The server is busier than it lets itself be, and says when to come again.
            time.sleep(1)
            answer = self.answer(case)
        took = time.monotonic() - started
        self.slowest = max(self.slowest, (took, f"{case.method} {case.name}"))
        if answer.code.name in FAULTS:
            return f"a fault of ours: {answer.code.name} {answer.reason} {answer.message[:200]!r}"
        wrong = case.want.differs(answer)
        if wrong is None and case.also is not None:
            wrong = case.also(answer.body)
        return wrong

    def answer(self, case):
        """What a method answers; the last message of a stream of answers."""
        method = self.methods[case.method]
        path = f"/rekindle.v1.{case.method}"
        try:
            if method.streaming:
                call = self.channel.stream_stream(path, encoded, method.output.FromString)
                bodies = list(itertools.islice(call(iter(listed(case.request)), timeout=DEADLINE_SECONDS), 100))
                return Answer(grpc.StatusCode.OK, body=bodies[-1] if bodies else None)
            call = self.channel.unary_unary(path, encoded, method.output.FromString)
            return Answer(grpc.StatusCode.OK, body=call(case.request, timeout=DEADLINE_SECONDS))
        except grpc.RpcError as error:
            return refused(error)


def refused(error):
    """A refusal; what breaks the shape of every error is told as a fault."""
    found = read(error)
    if len(found.infos) == 1 and found.infos[0].domain == DOMAIN:
        return Answer(found.code, found.message, found.infos[0].reason, set(found.fields), retry=found.retry)
    return Answer(found.code, f"{len(found.infos)} ErrorInfos: {found.message}")


def encoded(request):
    """The bytes of a request; raw bytes are sent as they are."""
    return request if isinstance(request, bytes) else request.SerializeToString()


def listed(requests):
    """The messages of a stream."""
    return requests if isinstance(requests, list) else [requests]
