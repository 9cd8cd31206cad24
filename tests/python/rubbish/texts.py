"""Every text of every request: with NUL, very long, and with everything that deceives the eye."""

from google.protobuf.descriptor import FieldDescriptor

from rubbish.build import changed
from rubbish.case import Case

DECEIVING = "‮gpj.exe​\u2028﻿𝕏\U000e0041é\x07"
# What must hold of an answer, whatever the text: a refusal names the field or says that
# nothing has this name, is that stale, is that large; an acceptance is one too.
BEARABLE = {
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "ABORTED",
    "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED",
}


# Texts that may be anything: events are refused one by one, and a group is asked for by its value.
ANYTHING = ("events[0].", "breakdown.value")


class Borne:
    """Any answer that is no fault; `refused` asks for a refusal."""

    def __init__(self, path, refused):
        self.path = path
        self.refused = refused

    def differs(self, found):
        if found.code.name not in BEARABLE:
            return f"expected one of {sorted(BEARABLE)}, got {found.code.name}: {found.message[:200]!r}"
        if found.code.name == "INVALID_ARGUMENT" and not found.fields:
            return f"INVALID_ARGUMENT names no field: {found.message[:200]!r}"
        if found.code.name == "INVALID_ARGUMENT" and not any(self.names(field) for field in found.fields):
            return f"names {sorted(found.fields)}, not {self.path}"
        if self.refused and found.code.name == "OK":
            return "was taken"
        return None

    def names(self, field):
        """Whether a field is the one that was changed, or holds it."""
        return (
            self.path == field or self.path.startswith((f"{field}.", f"{field}[")) or field.startswith(f"{self.path}.")
        )

    def __str__(self):
        return "a refusal" if self.refused else "an answer"


def cases(valid, methods):
    """Every text field that a good request fills."""
    for method in sorted(valid):
        if methods[method].streaming:
            continue
        for path in leaves(valid[method]):
            for name, text, refused in (
                ("NUL", "a\0b", True),
                ("100 000 bytes", "x" * 100_000, True),
                ("3 000 000 bytes", "é" * 1_500_000, True),
                ("deceiving", DECEIVING, False),
            ):
                refused = refused and not path.startswith(ANYTHING)
                yield Case(f"{path} {name}", method, changed(valid[method], path, text), Borne(path, refused))


def leaves(message, prefix=""):
    """Paths of the texts that a message holds; those of maps and of any JSON are looked at elsewhere."""
    for kind, value in message.ListFields():
        path = f"{prefix}{kind.json_name}"
        if is_map(kind) or kind.message_type and kind.message_type.full_name.startswith("google.protobuf."):
            continue
        items = [(f"{path}[{place}]", item) for place, item in enumerate(value)] if repeated(kind) else [(path, value)]
        for at, item in items:
            if kind.type == FieldDescriptor.TYPE_STRING:
                yield at
            elif kind.type == FieldDescriptor.TYPE_MESSAGE:
                yield from leaves(item, f"{at}.")


def repeated(kind):
    """Whether a field holds many."""
    return kind.is_repeated if hasattr(kind, "is_repeated") else kind.label == FieldDescriptor.LABEL_REPEATED


def is_map(kind):
    """Whether a field is a map."""
    return bool(kind.message_type and kind.message_type.GetOptions().map_entry)
