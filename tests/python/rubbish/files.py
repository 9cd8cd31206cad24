"""Files to import that are none: what the program says of the file, or of each row."""

import gzip
import json
import random

from rubbish import command

HEADER = b"id,type,conversation,occurred_at\n"
ROW = b"%s,customer_message,c-file,2026-03-02T09:00:00Z\n"
EVENT = {"id": "f-1", "event": "customer_message", "conversation": "c-file", "ts": "2026-03-02T09:00:00Z"}
NOISE = random.Random(7).randbytes(50_000)
CSV, JSONL, EVENTS = "csv", "jsonl", "events"
MANY = {f"k{number}": number for number in range(65)}


def line(**changes):
    """One event as a line of JSON, changed; None takes a field away."""
    return json.dumps({key: value for key, value in (EVENT | changes).items() if value is not None}).encode() + b"\n"


# What cannot be read at all: name, format, content, words that are said. Exit code 2.
UNREADABLE = [
    ("nothing under csv", CSV, b"", ["a header is needed"]),
    ("blank lines under csv", CSV, b"\n\n\n", ["a header is needed"]),
    ("a mark alone", CSV, b"\xef\xbb\xbf", ["a header is needed"]),
    ("a header twice", CSV, b"id,type,id\n", ["`id` twice"]),
    ("a header of NUL", CSV, b"\0,\0\n1,2\n", ["twice"]),
    ("a header that is no UTF-8", CSV, b"id,\xff\n1,2\n", ["header"]),
    ("a header without its end", CSV, b'id,"type\n', ["header"]),
    ("a header that is too long", CSV, b"x" * 70_000 + b"\n", ["header is longer"]),
    ("a header of 40 000 columns", CSV, b"," * 40_000 + b"\n", ["twice"]),
    ("UTF-16", CSV, "id,type\n1,2\n".encode("utf-16"), ["header"]),
    ("a gzip file cut short", JSONL, gzip.compress(line() * 5_000)[:-20], []),
    ("a gzip file of its head alone", JSONL, b"\x1f\x8b", []),
    ("a gzip file with a wrong checksum", JSONL, gzip.compress(line())[:-8] + b"\0" * 8, []),
    ("a gzip file of noise", JSONL, b"\x1f\x8b\x08" + NOISE, []),
    ("a gzip file with noise behind it", JSONL, gzip.compress(line(id="noise-1")) + NOISE, []),
    ("a gzip bomb of spaces", JSONL, gzip.compress(b" " * 200_000_000), ["unpacks to more than"]),
    ("a gzip bomb of lines", JSONL, gzip.compress(b"\n" * 200_000_000), ["unpacks to more than"]),
]
# Files of rows that make no event: name, format, content, reasons. Exit code 1, every row kept with its reason.
REJECTED = [
    ("noise", None, b"id,type\n" + NOISE.replace(b"\n", b"").replace(b"\r", b"") + b"\n", ["UTF-8"]),
    (
        "a gzip bomb in a bomb, which is not unpacked twice",
        JSONL,
        gzip.compress(gzip.compress(b" " * 500_000_000)),
        ["JSON"],
    ),
    ("a row that is too long", CSV, HEADER + b"x" * 70_000 + b"\n", ["longer than"]),
    ("a row of too few fields", CSV, HEADER + b"1\n", ["has 1 fields, the header 4"]),
    ("a row of too many fields", CSV, HEADER + b"1" + b",x" * 9 + b"\n", ["has 10 fields, the header 4"]),
    ("a row that is no UTF-8", CSV, HEADER + b"\xff,a,b,c\n", ["UTF-8"]),
    ("a quote without its end", CSV, HEADER + b'"1,a,b,c\n', ["quote"]),
    ("a row of NUL", CSV, HEADER + ROW % b"\0", ["EVENT_INVALID"]),
    ("a row of commas", CSV, HEADER + b",,,\n", ["type", "occurred_at", "conversation"]),
    ("no column of ours", CSV, b"a,b\n1,2\n", ["type", "occurred_at", "conversation"]),
    ("an id too long", CSV, HEADER + ROW % (b"x" * 129), ["EVENT_INVALID"]),
    ("a line that is no JSON", JSONL, b"{nonsense\n", []),
    ("a line that is a list", JSONL, b"[1]\n", []),
    ("a line that is a number", JSONL, b"7\n", []),
    ("a line that is null", JSONL, b"null\n", []),
    ("a line of two objects", JSONL, b"{}{}\n", []),
    ("an empty object", JSONL, b"{}\n", ["type", "occurred_at"]),
    ("a line that is too long", JSONL, b'{"a":"' + b"x" * 70_000 + b'"}\n', ["longer than"]),
    ("a line that is no UTF-8", JSONL, b'{"id":"\xff\xfe"}\n', []),
    ("a line of half a surrogate", JSONL, b'{"id":"\\ud800"}\n', []),
    ("a line of brackets", JSONL, b"[" * 60_000 + b"\n", []),
    ("a line of objects inside each other", JSONL, b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"\n", []),
    ("a number that no double holds", JSONL, line(props={"n": 1}).replace(b'"n": 1', b'"n": 1e999'), []),
    ("a time that is none", EVENTS, line(ts="yesterday"), ["yesterday"]),
    ("a time before 2000", EVENTS, line(ts="1999-12-31T23:59:59Z"), ["occurTime"]),
    ("a time after 2099", EVENTS, line(ts="2100-01-01T00:00:00Z"), ["occurTime"]),
    ("a time of the year 9999", EVENTS, line(ts="9999-12-31T23:59:59Z"), []),
    ("a time of the year -9999", EVENTS, line(ts="-009999-01-01T00:00:00Z"), []),
    ("a time of the 30th of February", EVENTS, line(ts="2026-02-30T00:00:00Z"), ["occurred_at"]),
    ("a time of too many digits", EVENTS, line(ts=10**30), ["occurred_at"]),
    ("a time that is a list", EVENTS, line(ts=[]), ["occurred_at"]),
    ("no time", EVENTS, line(ts=None), ["occurred_at"]),
    ("no type", EVENTS, line(event=None), ["type"]),
    ("a type that is an object", EVENTS, line(event={}), ["type"]),
    ("a type of ours", EVENTS, line(event="rekindle.mark"), ["type"]),
    ("nobody", EVENTS, line(conversation=None), ["conversation"]),
    ("a conversation with NUL", EVENTS, line(conversation="a\0b"), ["conversation"]),
    ("a conversation too long", EVENTS, line(conversation="é" * 65), ["conversation"]),
    ("a sequence that is none", EVENTS, line(seq="first"), ["sequence"]),
    ("a sequence beyond the last", EVENTS, line(seq=2**63), ["sequence"]),
    ("a sequence of a fraction", EVENTS, line(seq=1.5), ["sequence"]),
    ("65 properties", EVENTS, line(props=MANY), ["properties"]),
    ("a long property", EVENTS, line(props={"a": "x" * 1_025}), ["properties.a"]),
    ("a property with NUL", EVENTS, line(props={"a": "\0"}), ["properties.a"]),
    ("a deep property", EVENTS, line(props={"a": [[[[[[[[[1]]]]]]]]]}), ["properties.a"]),
    ("a text too long", EVENTS, line(text="x" * 32_769), ["text"]),
    ("a text with NUL", EVENTS, line(text="\0"), ["text"]),
    ("a score beyond 7", EVENTS, line(event="ces_answer", props={"score": 8}), ["properties.score"]),
]
# Flags and mapping files that are wrong. Exit code 2.
FLAGS = [
    ([], ["required"]),
    (["/nonexistent.csv"], ["nonexistent"]),
    (["/"], ["directory"]),
    (["@x.csv", "--format", "xml"], ["invalid value"]),
    (["@x.csv", "--map", "type"], ["has no ="]),
    (["@x.csv", "--map", "when=id"], ["is no field"]),
    (["@x.csv", "--map", "type=nowhere"], ["no column nowhere"]),
    (["@x.csv", "--map", "id=a", "--map", "id=b"], ["twice"]),
    (["@x.csv", "--const", "id=7"], ["same in every row"]),
    (["@x.csv", "--const", "properties=7"], ["same in every row"]),
    (["@x.csv", "--numbers", "nowhere"], ["no column nowhere"]),
    (["@x.csv", "--delimiter", '"'], ["delimiter"]),
    (["@x.csv", "--delimiter", "é"], ["delimiter"]),
    (["@x.csv", "--delimiter", "ab"], ["--delimiter"]),
    (["@x.csv", "--zone", "Mars/Olympus"], ["zone"]),
    (["@x.csv", "--zone", ""], ["zone"]),
    (["@x.csv", "--zone", "../../etc/passwd"], ["zone"]),
    (["@x.csv", "--batch", "0"], ["--batch"]),
    (["@x.csv", "--batch", "1001"], ["--batch"]),
    (["@x.csv", "--mapping", "/nonexistent.yaml"], ["nonexistent"]),
    (["@x.csv", "--mapping", "@wrong.yaml"], ["mapp"]),
    (["@x.csv", "--mapping", "@noise.yaml"], []),
    (["@x.csv", "--mapping", "@deep.yaml"], []),
    (["@x.csv", "--rejects", "/nonexistent/folder/x"], ["nonexistent"]),
]
FLAG_FILES = {
    "x.csv": HEADER + ROW % b"flags-1",
    "wrong.yaml": b"mapp: {}",
    "noise.yaml": NOISE,
    "deep.yaml": b"[" * 20_000,
}
# Formats of time that are strange; a row makes no event, or one. Neither breaks anything.
TIME_FORMATS = (
    "",
    "%",
    "%%",
    "%Q",
    "%Y" * 500,
    "%d/%m",
    "%999999999Y",
    "%é",
    "%:z",
    "%s",
    "\0",
    "🦀",
    "%+",
    "%-%",
    "%10",
)


def cases():
    """name, arguments, files, stdin, exit code, words, what the rejects must say"""
    for name, format_, content, words in UNREADABLE:
        yield (name, ["import", "--format", format_, "@x"], {"x": content}, b"", 2, words, None)
        yield (f"{name}, dry", ["import", "--format", format_, "--dry-run", "@x"], {"x": content}, b"", 2, words, None)
    for name, format_, content, words in REJECTED:
        how = ["--format", format_] if format_ else []
        yield (name, ["import", *how, "--rejects", "@rejects", "@x"], {"x": content}, b"", 1, [], words)
        yield (f"{name}, from stdin", ["import", *how, "--rejects", "@rejects", "-"], {}, content, 1, [], words)
        packed = gzip.compress(content)
        yield (
            f"{name}, packed",
            ["import", *how, "--rejects", "@rejects", "@x.gz"],
            {"x.gz": packed},
            b"",
            1,
            [],
            words,
        )
    for arguments, words in FLAGS:
        yield (f"import {' '.join(arguments)}", ["import", *arguments], FLAG_FILES, b"", 2, words, None)
    for form in TIME_FORMATS:
        if "\0" not in form:
            yield (
                f"time format {form[:20]!r}",
                ["import", "@x.csv", "--dry-run", f"--time-format={form}"],
                FLAG_FILES,
                b"",
                (0, 1),
                [],
                None,
            )
    yield (
        "strict ends at the first",
        ["import", "--strict", "--format", EVENTS, "@x"],
        {"x": line(ts="no") + line(id="strict-1")},
        b"",
        2,
        ["--strict"],
        None,
    )


def try_case(service, case):
    """Runs one; what is wrong, or None."""
    name, arguments, files, stdin, code, words, rejects = case
    kept = {}
    if rejects is not None:
        arguments = [*arguments, "-o", "json"]
    found = command.run(service, arguments, files, stdin, kept)
    if isinstance(code, tuple):
        code = found[0] if found[0] in code else code[0]
    wrong = command.differs(found, code, words)
    if wrong or rejects is None:
        return wrong
    rows = [json.loads(row) for row in kept.get("rejects", "").splitlines()]
    if not rows:
        return "no row was kept"
    said = json.dumps(rows, ensure_ascii=False)
    if not all(row.get("reason") for row in rows):
        return f"a row was kept without its reason: {said[:200]}"
    missing = [word for word in rejects if word not in said]
    return f"the rejected rows do not say {missing}: {said[:300]}" if missing else None
