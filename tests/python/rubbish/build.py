"""Requests built from JSON, and one value put where a path leads."""

import re

from google.protobuf import json_format, struct_pb2
from google.protobuf.descriptor import FieldDescriptor

STEP = re.compile(r"([A-Za-z0-9_]+)(?:\[(\d+)\])?")


def message(kind, content):
    """A message of a class, from its proto JSON."""
    return json_format.ParseDict(content, kind())


def made(methods, name, field, content):
    """A message that stands in a field of a method's request."""
    return getattr(message(methods[name].input, {field: content}), field)


def copied(original):
    """A message of its own with the same content."""
    made = type(original)()
    made.CopyFrom(original)
    return made


def changed(original, path, value):
    """A copy with `value` at a path in JSON names, such as `funnel.stages[1].id`.

    A pair is an instant or a duration as seconds and nanos; a list replaces a
    repeated field, a dict a map; None clears the field.
    """
    made = copied(original)
    at = made
    *inner, last = [STEP.fullmatch(step).groups() for step in path.split(".")]
    for name, place in inner:
        at = getattr(at, proto_name(at, name))
        if place is not None:
            at = at[int(place)]
    put(at, *last, value)
    return made


def put(at, name, place, value):
    """Sets one field of a message, or one place of a repeated field."""
    name = proto_name(at, name)
    kind = at.DESCRIPTOR.fields_by_name[name]
    if place is not None:
        items = getattr(at, name)
        if kind.type == FieldDescriptor.TYPE_MESSAGE:
            items[int(place)].CopyFrom(value)
        else:
            items[int(place)] = value
    elif value is None:
        at.ClearField(name)
    elif isinstance(value, struct_pb2.Struct):
        # The service's own classes are made from reflection: another class of the same message.
        getattr(at, name).ParseFromString(value.SerializeToString())
    elif isinstance(value, tuple):
        span = getattr(at, name)
        span.SetInParent()
        span.seconds, span.nanos = value
    elif isinstance(value, (list, dict)):
        at.ClearField(name)
        items = getattr(at, name)
        if isinstance(value, list):
            items.extend(value)
        elif kind.message_type.fields_by_name["value"].type == FieldDescriptor.TYPE_MESSAGE:
            for key, item in value.items():
                items[key].CopyFrom(item)
        else:
            items.update(value)
    elif kind.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(at, name).CopyFrom(value)
    else:
        setattr(at, name, value)


def proto_name(at, json_name):
    """The name of a field in the proto, from its name in JSON."""
    for one in at.DESCRIPTOR.fields:
        if json_name in (one.json_name, one.name):
            return one.name
    raise KeyError(f"{at.DESCRIPTOR.full_name} has no field {json_name}")


def struct(content):
    """A `google.protobuf.Struct`; numbers may be infinite or none."""
    made = struct_pb2.Struct()
    for key, value in content.items():
        fill(made.fields[key], value)
    return made


def fill(slot, value):
    """Sets a `google.protobuf.Value`."""
    if value is None:
        slot.null_value = 0
    elif isinstance(value, bool):
        slot.bool_value = value
    elif isinstance(value, (int, float)):
        slot.number_value = value
    elif isinstance(value, str):
        slot.string_value = value
    elif isinstance(value, dict):
        slot.struct_value.SetInParent()
        for key, item in value.items():
            fill(slot.struct_value.fields[key], item)
    else:
        slot.list_value.SetInParent()
        for item in value:
            fill(slot.list_value.values.add(), item)


def nested(depth):
    """A value inside `depth` lists."""
    return [nested(depth - 1)] if depth else 1
