"""Errors as a client reads them: code, `ErrorInfo`, `BadRequest`."""

from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from checks.report import Failed, equal, expect

DOMAIN = "rekindle.dev"


@dataclass
class Refusal:
    """A refused call."""

    code: grpc.StatusCode
    message: str
    infos: list = field(default_factory=list)
    fields: dict = field(default_factory=dict)
    retry: bool = False


def refusal(call):
    """Makes a call that must be refused and reads the refusal."""
    try:
        call()
    except grpc.RpcError as error:
        return read(error)
    raise Failed("expected a refusal, got an answer")


def read(error):
    """What an error says."""
    found = Refusal(error.code(), error.details())
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            found.infos.append(info)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            found.fields |= {violation.field: violation.description for violation in bad.field_violations}
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            found.retry = True
    return found


def refused(call, code, reason, fields=()):
    """Makes a call that must be refused with `code` and `reason`, naming at least `fields`."""
    found = refusal(call)
    equal("code", code.name, found.code.name)
    equal("number of ErrorInfo", 1, len(found.infos))
    equal("reason", reason, found.infos[0].reason)
    equal("domain", DOMAIN, found.infos[0].domain)
    expect(found.message, "the message is empty")
    for name in fields:
        matching = [path for path in found.fields if path == name or path.endswith("." + name)]
        expect(matching, f"field {name} is not named; named are {sorted(found.fields)}")
        expect(found.fields[matching[0]], f"field {name} is named without a description")
    return found
