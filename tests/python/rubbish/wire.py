"""What is no request at all: bytes, frames, headers, methods."""

import contextlib
import gzip
import http.client
import struct

from rubbish.case import MALFORMED, Case

# Bytes that are no message, of whatever method.
BYTES = {
    "0xff": b"\xff" * 8,
    "a tag without its value": b"\x0a",
    "a length beyond the end": b"\x0a\x7fabc",
    "a length of 2^63": b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a varint without end": b"\x0a" + b"\xff" * 20,
    "field number 0": b"\x02\x00",
    "wire type 6": b"\x0e\x00",
    "a group without its end": b"\x0b" * 4,
    "an end without its group": b"\x0c",
    "a text that is no UTF-8": b"\x0a\x02\xff\xfe",
    "a text of half a surrogate": b"\x0a\x03\xed\xa0\x80",
    "groups inside each other": b"\x0b" * 5_000,
}
# Fields whose type is a text, so that the last rows above are none for them either.
CONTENT_TYPES = (
    "text/plain",
    "application/json",
    "application/grpc-web-text+json",
    "",
    "application/x-www-form-urlencoded",
)


def cases(valid, methods):
    """Bytes that are no message, to every method."""
    for method in sorted(valid):
        first = methods[method].input.DESCRIPTOR.fields_by_number.get(1)
        for name, content in BYTES.items():
            yield Case(f"bytes: {name}", method, content, MALFORMED)
        if first is not None and first.message_type is not None:
            yield Case("bytes: messages inside each other", method, deep(200), MALFORMED)


def deep(levels):
    """Field 1 inside field 1, as deep as it goes."""
    body = b""
    for _ in range(levels):
        body = b"\x0a" + varint(len(body)) + body
    return body


def struct_deep(levels):
    """An event whose properties hold lists inside each other, deeper than any reader goes."""
    value = b"\x11" + struct.pack("<d", 1.0)
    for _ in range(levels):
        lists = b"\x0a" + varint(len(value)) + value
        value = b"\x32" + varint(len(lists)) + lists
    entry = b"\x0a\x01a\x12" + varint(len(value)) + value
    properties = b"\x0a" + varint(len(entry)) + entry
    event = b"\x0a\x01e\x62" + varint(len(properties)) + properties
    return b"\x0a\x12workspaces/default\x12" + varint(len(event)) + event


def varint(number):
    """A number in seven bits a byte."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def depths():
    """Messages inside each other deeper than the reader goes."""
    for levels in (50, 200, 5_000):
        yield Case(f"properties {levels} lists deep", "IngestService/IngestEvents", struct_deep(levels), MALFORMED)


def frame(body, compressed=False):
    """A message as gRPC frames it."""
    return struct.pack(">BI", compressed, len(body)) + body


def web(port, path, body, headers, method="POST"):
    """A request over HTTP/1.1, as gRPC-Web makes it; status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # Who is refused by the head need not be heard to the end.
            connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


WEB = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
GET = "/rekindle.v1.FunnelService/GetFunnel"


def requests(valid):
    """Requests over HTTP/1.1: name, path, body, headers, HTTP method."""
    good = valid["FunnelService/GetFunnel"].SerializeToString()
    bomb = gzip.compress(b"\0" * 64_000_000)
    yield from (
        ("a frame cut short", GET, frame(good)[:-3], WEB, "POST"),
        ("a frame that says 4 GB", GET, b"\0\xff\xff\xff\xff" + good, WEB, "POST"),
        ("no frame", GET, b"", WEB, "POST"),
        ("half a frame's head", GET, b"\0\0", WEB, "POST"),
        ("two frames", GET, frame(good) * 2, WEB, "POST"),
        ("an unknown flag", GET, b"\x07" + frame(good)[1:], WEB, "POST"),
        ("a compressed frame without its coding", GET, frame(good, True), WEB, "POST"),
        ("a compressed frame that is not", GET, frame(good, True), WEB | {"grpc-encoding": "gzip"}, "POST"),
        ("a compression that nobody knows", GET, frame(good, True), WEB | {"grpc-encoding": "br"}, "POST"),
        ("a gzip bomb", GET, frame(bomb, True), WEB | {"grpc-encoding": "gzip"}, "POST"),
        ("a message of 5 MB", GET, frame(b"\x0a\x80\x80\xc0\x02" + b"x" * 5_242_880), WEB, "POST"),
        ("base64 that is none", GET, b"!!!!", WEB | {"content-type": "application/grpc-web-text"}, "POST"),
        ("a method that nobody has", "/rekindle.v1.FunnelService/Explode", frame(good), WEB, "POST"),
        ("a service that nobody has", "/rekindle.v1.NoService/GetFunnel", frame(good), WEB, "POST"),
        ("a path that climbs", "/../../etc/passwd", frame(good), WEB, "POST"),
        ("a path of nothing", "/", b"", WEB, "POST"),
        ("a timeout that is none", GET, frame(good), WEB | {"grpc-timeout": "soon"}, "POST"),
        ("a timeout below nothing", GET, frame(good), WEB | {"grpc-timeout": "-1S"}, "POST"),
        ("a timeout without end", GET, frame(good), WEB | {"grpc-timeout": "99999999999H"}, "POST"),
        ("a timeout of nothing", GET, frame(good), WEB | {"grpc-timeout": "0n"}, "POST"),
        ("a request id with an escape", GET, frame(good), WEB | {"x-request-id": "a\x1b[31m"}, "POST"),
        ("a request id too long", GET, frame(good), WEB | {"x-request-id": "x" * 5_000}, "POST"),
        ("binary metadata that is none", GET, frame(good), WEB | {"x-test-bin": "!!!"}, "POST"),
        ("GET", GET, b"", {}, "GET"),
        ("TRACE", GET, b"", {}, "TRACE"),
        ("DELETE", GET, b"", {}, "DELETE"),
        ("OPTIONS", GET, b"", {}, "OPTIONS"),
    )
    for kind in CONTENT_TYPES:
        yield (f"content type {kind!r}", GET, frame(good), {"content-type": kind}, "POST")


def said(headers, body):
    """The gRPC status of an answer over gRPC-Web: in the headers, or in the last frame."""
    if "grpc-status" in headers:
        return int(headers["grpc-status"])
    for line in body.split(b"\x80", 1)[-1].splitlines():
        key, _, value = line[-40:].partition(b"grpc-status:")
        if value:
            return int(value)
    return None
