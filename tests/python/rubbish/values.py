"""Values that break programs: texts, instants, durations, numbers."""

NUL = "a\0b"
# Seconds and nanos of instants outside the years 2000 to 2099, or that are none.
INSTANTS = {
    "before 2000": (946_684_799, 999_999_999),
    "from 2100 on": (4_102_444_800, 0),
    "nanos below 0": (1_772_000_000, -1),
    "nanos of a whole second": (1_772_000_000, 1_000_000_000),
    "the greatest": (2**63 - 1, 2**31 - 1),
    "the least": (-(2**63), -(2**31)),
}
# Durations below nothing, above five years, or that are none.
DURATIONS = {
    "below nothing": (-1, 0),
    "nanos below nothing": (0, -1),
    "nanos of a whole second": (1, 1_000_000_000),
    "above five years": (5 * 366 * 86_400, 1_000),
    "the greatest": (2**63 - 1, 2**31 - 1),
    "the least": (-(2**63), -(2**31)),
}
# Numbers that no enumeration of ours has.
STRANGERS = (-1, 99, 2**31 - 1, -(2**31))
# Ids that users may not choose.
USER_IDS = {
    "empty": "",
    "upper case": "Support",
    "beginning with a digit": "1st",
    "beginning with a dash": "-a",
    "ending with a dash": "a-",
    "with an underscore": "a_b",
    "not ASCII": "ä",
    "with a slash": "a/b",
    "with a space": "a b",
    "with NUL": "a\0b",
    "too long": "a" * 64,
    "very long": "a" * 100_000,
}
# Ids of clients' own that are none: 1 to 128 printable bytes.
NAMES = {
    "too long": "x" * 129,
    "too long in bytes": "é" * 65,
    "with NUL": "a\0b",
    "with a line break": "a\nb",
    "with an escape": "a\x1b[31mb",
    "with a C1 control": "a\x85b",
}
# Predicates that must not pass, in whatever field they stand.
PREDICATES = {
    "unclosed call": "event.text.contains(",
    "unclosed text": 'event.type == "a',
    "two expressions": "true true",
    "an assignment": "event.type = 'a'",
    "a lone operator": "==",
    "a call of nothing of ours": "event.text.explode()",
    "a variable of nobody": "secrets.key == 'a'",
    "a comprehension": "[1, 2].all(x, x > 0)",
    "a map": "{'a': 1}.a == 1",
    "arithmetic": "event.properties.n + 1 > 2",
    "a ternary": "true ? true : false",
    "a number": "1",
    "a regular expression that is none": 'event.text.matches("(")',
    "a regular expression that is huge": 'event.text.matches("(a{1000}){1000}{1000}")',
    "a back reference": 'event.text.matches("(a)\\\\1")',
    "brackets without end": "(" * 2_000 + "true" + ")" * 2_000,
    "dots without end": "event" + ".properties" * 400 + " == 1",
    "comparisons without end": " || ".join(["event.type == 'a'"] * 220),
    "too long": "event.type == '" + "a" * 4_096 + "'",
    "NUL": "event.type\0 == 'a'",
    "only a comment": "// nothing",
    "a published bomb": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[" * 10,
    "SQL": "'; DROP TABLE events; --",
    "Jinja": "{{ 7 * 7 }}",
    "a line break alone": "event.\n",
    "emoji": "🦀",
}
# Templates that must not pass, in whatever field they stand.
TEMPLATES = {
    "unclosed": "{{ customer.name",
    "unclosed block": "{% if customer.name %}",
    "an end without a beginning": "{% endif %}",
    "an unknown filter": "{{ customer.name | shell }}",
    "an unknown test": "{{ customer.name is evil }}",
    "an unknown function": "{{ lipsum() }}",
    "an include": "{% include '/etc/passwd' %}",
    "an import": "{% import '/etc/passwd' as p %}",
    "an inheritance": "{% extends 'base' %}",
    "a macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a range": "{% for i in range(100000000) %}x{% endfor %}",
    "a product of texts": "{{ 'x' * 1000000000 }}",
    "the bomb of 57 bytes": "{% set a='x'*1000000 %}{{ a | replace('x', a) | length }}",
    "a call of a method": "{{ ''.__class__.__mro__ () }}",
    "too long": "x" * 65_537,
    "brackets without end": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "a chain without end": "{{ customer" + ".a" * 20_000 + "() }}",
}
# Addresses that are none.
ADDRESSES = (
    "",
    "ann",
    "@example.com",
    "ann@",
    "ann@@example.com",
    "a b@example.com",
    "<ann@example.com>",
    "ann@example.com,bob@example.com",
    "ann@[127.0.0.1]",
    '"a b"@example.com',
    ".ann@example.com",
    "ann@exam_ple.com",
    "ann@example.com\r\nRCPT TO:<eve@example.com>",
    "ann\0@example.com",
    "ann@example.com\u202e",
    f"{'a' * 65}@example.com",
    f"ann@{'a.' * 130}com",
    "ann@" + "x" * 100_000,
)
# Texts that must not stand in a header.
CONTROLS = ("a\0b", "a\r\nBcc: eve@example.com", "a\nb", "a\x1b[0m", "a\x7fb")
