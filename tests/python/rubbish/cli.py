"""Command lines and definition files that are wrong: an exit code, and words that say what."""

import os

from rubbish import command

NOBODY = "http://127.0.0.1:1"
FUNNEL = (
    b"kind: Funnel\nid: %s\nstages:\n- {id: a, enter: [{eventTypes: [x]}]}\n- {id: b, enter: [{eventTypes: [y]}]}\n"
)
LONG = "x" * 100_000

# Arguments, exit code, words that must be said. 2: the command or its input is wrong.
LINES = [
    ([], 2, ["Usage"]),
    (["explode"], 2, ["explode"]),
    (["--explode"], 2, ["--explode"]),
    (["get"], 2, ["required"]),
    (["get", "nothing", "x"], 2, ["invalid value"]),
    (["get", "funnel"], 2, ["required"]),
    (["get", "funnel", ""], 2, ["name"]),
    (["get", "funnel", "nobody"], 1, ["FUNNEL_NOT_FOUND"]),
    (["get", "funnel", "Not An Id"], 2, ["FIELD_INVALID"]),
    (["get", "funnel", "../../etc/passwd"], 2, ["FIELD_INVALID"]),
    (["get", "funnel", "workspaces/default/funnels/a/b"], 2, ["FIELD_INVALID"]),
    (["get", "funnel", LONG], 2, ["FIELD_INVALID"]),
    (["get", "funnel", "a\nb"], 2, ["FIELD_INVALID"]),
    (["get", "funnel", "support", "-o", "xml"], 2, ["invalid value"]),
    (["get", "conversation", "nobody\u202e"], 1, ["CONVERSATION_NOT_FOUND"]),
    (["get", "conversation", "é" * 65], 2, ["FIELD_INVALID"]),
    (["get", "customer", "%00"], 1, ["CUSTOMER_NOT_FOUND"]),
    (["get", "workspace", "elsewhere"], 1, ["WORKSPACE_NOT_FOUND"]),
    (["get", "workspace", "a b"], 2, ["FIELD_INVALID"]),
    (["get", "run", "x"], 1, ["RUN_NOT_FOUND"]),
    (["get", "delivery", "x"], 1, ["DELIVERY_NOT_FOUND"]),
    (["get", "destination", "nobody"], 1, ["DESTINATION_NOT_FOUND"]),
    (["get", "sequence", "nobody"], 1, ["SEQUENCE_NOT_FOUND"]),
    (["get", "suppression", "nobody@example.com"], 1, ["nobody@example.com"]),
    (["get", "suppression", "ann"], 2, ["e-mail"]),
    (["get", "suppression", "a b@example.com"], 2, ["FIELD_INVALID"]),
    (["get", "funnel", "support", "--workspace", "elsewhere"], 1, ["WORKSPACE_NOT_FOUND"]),
    (["get", "funnel", "support", "--workspace", "a b/c"], 2, ["FIELD_INVALID"]),
    (["get", "funnel", "support", "--address", "nowhere"], 3, ["nowhere"]),
    (["get", "funnel", "support", "--address", ""], 2, ["--address"]),
    (["get", "funnel", "support", "--address", "http://"], 2, ["--address"]),
    (["get", "funnel", "support", "--address", "http://a b"], 2, ["--address"]),
    (["get", "funnel", "support", "--address", "ftp://127.0.0.1:1"], 3, ["no server answers"]),
    (["get", "funnel", "support", "--address", NOBODY], 3, ["no server answers"]),
    (["get", "funnel", "support", "--address", "http://127.0.0.1:99999"], 3, ["no server answers"]),
    (["list"], 2, ["required"]),
    (["list", "nothing"], 2, ["invalid value"]),
    (["list", "funnels", "--limit=-1"], 2, ["--limit"]),
    (["list", "funnels", "--limit", "99999999999999999999"], 2, ["--limit"]),
    (["list", "funnels", "--limit", "18446744073709551615"], 0, []),
    (["list", "funnels", "--limit", "x"], 2, ["--limit"]),
    (["list", "funnels", "--run", "x"], 2, ["--run is no condition"]),
    (["list", "funnels", "--workspace", ""], 2, ["FIELD_INVALID"]),
    (["list", "runs", "--state", "exploded"], 2, ["exploded"]),
    (["list", "runs", "--state", ""], 2, ["--state"]),
    (["list", "runs", "--sequence", "Not An Id"], 2, ["FIELD_INVALID"]),
    (["list", "deliveries", "--run", "x"], 1, ["RUN_NOT_FOUND"]),
    (["list", "deliveries", "--state", "stalled"], 2, ["stalled"]),
    (["list", "conversations", "--filter", "event.type =="], 2, ["filter"]),
    (["list", "conversations", "--filter", LONG], 2, ["filter"]),
    (["list", "conversations", "--stage", "asked"], 2, ["--funnel"]),
    (["list", "conversations", "--funnel", "nobody"], 1, ["FUNNEL_NOT_FOUND"]),
    (["list", "conversations", "--funnel", "support", "--stage", "nowhere"], 2, ["position.stage"]),
    (["list", "conversations", "--owed-by", "nobody"], 2, ["nobody"]),
    (["list", "customers", "--state", "stalled"], 2, ["--funnel"]),
    (["list", "customers", "--owed-by", "agent"], 2, ["no condition"]),
    (["list", "suppressions", "--reason", "boredom"], 2, ["boredom"]),
    (["list", "suppressions", "--recipient", "ann"], 2, ["FIELD_INVALID"]),
    (["delete", "funnel", "nobody", "--yes"], 1, ["FUNNEL_NOT_FOUND"]),
    (["delete", "funnel", "nobody"], 2, ["--yes"]),
    (["delete", "funnel", "A B", "--yes"], 2, ["FIELD_INVALID"]),
    (["delete", "funnel", "support", "--yes"], 1, ["FUNNEL_IN_USE"]),
    (["delete", "run", "x", "--yes"], 2, []),
    (["delete", "workspace", "default", "--yes"], 2, []),
    (["report"], 2, ["Usage"]),
    (["report", "funnel"], 2, ["required"]),
    (["report", "funnel", "nobody"], 1, ["FUNNEL_NOT_FOUND"]),
    (["report", "funnel", "support", "--from", "yesterday"], 2, ["--from"]),
    (["report", "funnel", "support", "--from", "1999-12-31"], 2, []),
    (["report", "funnel", "support", "--until", "9999-12-31"], 2, []),
    (["report", "funnel", "support", "--until", "99999-12-31"], 2, ["--until"]),
    (["report", "funnel", "support", "--as-of", "-1"], 2, []),
    (["report", "funnel", "support", "--as-of", "99999999999999999999999999"], 2, ["--as-of"]),
    (["report", "funnel", "support", "--from", "2026-01-02", "--until", "2026-01-01"], 2, []),
    (["report", "funnel", "support", "--zone", "Mars/Olympus"], 2, ["Mars/Olympus"]),
    (["report", "funnel", "support", "--zone", "../../etc/passwd", "--trend", "day"], 2, []),
    (["report", "funnel", "support", "--trend", "hour"], 2, ["invalid value"]),
    (["report", "funnel", "support", "--by", ""], 2, []),
    (["report", "funnel", "support", "--by", "k" * 129], 2, ["FIELD_INVALID"]),
    (["report", "funnel", "support", "--by", "plan", "--top", "0"], 0, []),
    (["report", "funnel", "support", "--by", "plan", "--top", "1001"], 2, ["FIELD_INVALID"]),
    (["report", "funnel", "support", "--top", "5"], 2, ["--by"]),
    (["report", "funnel", "support", "--revision", "-1"], 2, []),
    (["report", "funnel", "support", "--revision", "99"], 1, ["FUNNEL_REVISION_NOT_FOUND"]),
    (["report", "funnel", "support", "--revision", "99999999999"], 2, ["--revision"]),
    (["report", "funnel", "support", "--compare", "sometime"], 2, ["--compare"]),
    (["report", "funnel", "support", "--filter", "(("], 2, ["filter"]),
    (["report", "funnel", "support", "--unit", "team"], 2, ["invalid value"]),
    (["report", "funnel", "support", "--width", "0"], 0, []),
    (["report", "funnel", "support", "--width", "1"], 0, []),
    (["report", "funnel", "support", "--width", "100000", "--by", "plan", "--trend", "day"], 0, []),
    (["report", "funnel", "support", "--width", "18446744073709551615"], 0, []),
    (["report", "funnel", "support", "--width=-1"], 2, ["--width"]),
    (["report", "target", "support"], 2, ["required"]),
    (["report", "target", "nobody", "asked"], 1, ["FUNNEL_NOT_FOUND"]),
    (["report", "target", "support", "nowhere"], 2, ["stage"]),
    (["report", "target", "support", "asked", "--revision", "99"], 1, ["FUNNEL_REVISION_NOT_FOUND"]),
    (["report", "target", "support", "asked", "--from", "yesterday"], 2, ["--from"]),
    (["simulate"], 2, ["required"]),
    (["simulate", "nobody"], 1, ["SEQUENCE_NOT_FOUND"]),
    (["simulate", "nudge", "--from", "yesterday"], 2, ["--from"]),
    (["simulate", "nudge", "--from", "2026-01-02", "--until", "2026-01-01"], 2, ["endTime"]),
    (["simulate", "nudge", "--samples", "11"], 2, ["sampleCount"]),
    (["simulate", "nudge", "-f", "nudge.yaml"], 2, ["cannot be used with"]),
    (["simulate", "-f", "there-is-no-such-file"], 2, ["there-is-no-such-file"]),
    (["healthcheck", "--address", NOBODY], 3, []),
    (["healthcheck", "--timeout", "18446744073709551615"], 0, []),
    (["healthcheck", "--timeout=-1"], 2, ["--timeout"]),
    (["healthcheck", "--service", "no.such.Service"], 1, []),
    (["healthcheck", "--http", "nonsense"], 2, ["nonsense"]),
    (["healthcheck", "--http", "ftp://127.0.0.1:1/"], 2, []),
    (["healthcheck", "--http", "http://127.0.0.1:1/"], 3, []),
    (["completion", "tcsh"], 2, ["invalid value"]),
    (["completion"], 2, ["required"]),
    (["serve", "--listen", "nowhere"], 2, ["--listen"]),
    (["serve", "--listen", "127.0.0.1:99999"], 2, ["--listen"]),
    (["serve", "--config", "/nonexistent.toml"], 2, ["nonexistent"]),
    (["serve", "--database-url", "mysql://x"], 1, []),
    (["serve", "--database-url", ""], 1, []),
    (["serve", "--database-url", "postgres://127.0.0.1:1/x?connect_timeout=1"], 1, []),
    (["serve", "--database-url", "sqlite:/nonexistent/folder/x.db"], 1, []),
    (["migrate", "--database-url", "sqlite:/proc/x.db"], 1, []),
    (["migrate", "--config", "/"], 2, []),
    (["doctor", "--database-url", "nonsense"], 1, []),
    (["apply"], 2, ["required"]),
    (["apply", "-f", "/nonexistent.yaml"], 2, ["nonexistent"]),
    (["apply", "-f", "@"], 2, ["no definitions"]),
]


def bomb():
    """YAML whose aliases stand for 9^9 items."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for before, letter in zip("abcdefgh", "bcdefghi"):
        lines.append(f"{letter}: &{letter} [{','.join(['*' + before] * 9)}]")
    return "\n".join(lines).encode()


def loops(path):
    """A folder that holds itself twice."""
    path.mkdir(parents=True)
    os.symlink(path, path / "once")
    os.symlink(path, path / "again")


# Content of one definition file, and words that must be said of it.
DEFINITIONS = [
    (b"", ["no definitions"]),
    (b"---\n---\n", ["no definitions"]),
    (b"\xff\xfe", []),
    (b"\xef\xbb\xbf", ["no definitions"]),
    (b"\0", []),
    (b"7", ["is no mapping"]),
    (b"[1, 2]", ["is no mapping"]),
    (b"id: a", ["kind: is missing"]),
    (b"kind: 7\nid: a", ["kind"]),
    (b"kind: Run\nid: a", ["Run"]),
    (b"kind: Funnel", ["id: is missing"]),
    (b"kind: Funnel\nid: ''", ["id"]),
    (b"kind: Funnel\nid: 7", ["id"]),
    (b"kind: Funnel\nid: a\nname: b", ["id"]),
    (b"kind: Funnel\nid: a\nstagse: []", ["stagse: unknown field"]),
    (b"kind: Funnel\nid: a\nstages: 7", ["stages"]),
    (b"kind: Funnel\nid: a\nstages: [7]", ["stages"]),
    (b"kind: Funnel\nid: a\nstages: []", ["funnel.stages"]),
    (b"kind: Funnel\nid: a\nsubject: SUBJECT_KIND_ALIEN\nstages: []", ["subject"]),
    (b"kind: Funnel\nid: a\nconversionWindow: soon\nstages: []", []),
    (b"kind: Funnel\nid: a\nconversionWindow: 1e99s\nstages: []", []),
    (b"kind: Funnel\nid: a\nconversionWindow: 99999999999999999999s\nstages: []", []),
    (b"kind: Funnel\nid: a\nstartsTime: '2026-02-30T00:00:00Z'\nstages: []", []),
    (b"kind: Funnel\nid: a\nlivePolicy: 7\nstages: []", ["livePolicy"]),
    (b"kind: Funnel\nid: a\nlivePolicy: PERHAPS\nstages: []", ["PERHAPS"]),
    (b"kind: Funnel\nid: a\nstageMap: 7\nstages: []", ["stageMap"]),
    (b"kind: Sequence\nid: a\nrunPolicy: 7\nsteps: []", ["runPolicy"]),
    (b"kind: Sequence\nid: a\nrunPolicy: PERHAPS\nsteps: []", ["PERHAPS"]),
    (b"kind: Sequence\nid: a\nstepMap: 7\nsteps: []", ["stepMap"]),
    (FUNNEL % b"'A B'", ["funnelId"]),
    (FUNNEL % b"twice" + b"---\n" + FUNNEL % b"twice", ["twice"]),
    (b"kind: Funnel\nid: a\nid: b\nstages: []", []),
    (b"kind: Funnel\n  id: a", []),
    (b"kind: Funnel\n\tid: a", []),
    (b"kind: [", []),
    (b"{" * 5_000, []),
    (b"kind: Funnel\nid: a\nnotes: " + b"[" * 5_000 + b"]" * 5_000, []),
    (b"- " * 20_000 + b"x", []),
    (b"&a [*a]", []),
    (b"*nobody", []),
    (b"!!python/object/apply:os.system ['true']", []),
    (b"kind: Destination\nid: a\nwebhook: {url: '${NO_SUCH_VARIABLE_HERE}'}", ["NO_SUCH_VARIABLE_HERE"]),
    (b"kind: Destination\nid: a\nsmtp: {host: x, port: 99999999999}", []),
    (b"kind: Destination\nid: a\nsmtp: {host: x, tls: 99}", []),
    (b"kind: Sequence\nid: a\ntrigger: {funnel: nobody}", []),
    (b'{"kind": "Funnel", "id": "a", "notes": "\\ud800", "stages": []}', []),
    (b'{"kind": "Funnel", "id": "a", "revision": 1e400, "stages": []}', []),
    (b"x" * 5_000_000, ["larger than"]),
]


# The same for what has no check without a change: wrong only when it is applied.
UNCHECKED = [
    (b"kind: Suppression\naddress: ann", ["address"]),
    (b"kind: Workspace\ndefaultZone: Mars/Olympus", ["defaultZone"]),
]


def cases():
    """Every command line, then every definition file."""
    for arguments, code, words in LINES:
        yield (" ".join(arguments)[:80] or "nothing", arguments, {}, code, words)
    for content, words in [*DEFINITIONS, (bomb(), [])]:
        for extra in ([], ["--dry-run"]):
            yield (f"apply {content[:60]!r} {extra}", ["apply", "-f", "@x.yaml", *extra], {"x.yaml": content}, 2, words)
    for content, words in UNCHECKED:
        yield (f"apply {content!r}", ["apply", "-f", "@x.yaml"], {"x.yaml": content}, 2, words)
    yield (
        "apply a folder that holds itself twice",
        ["apply", "-f", "@folder"],
        {"folder": loops},
        2,
        ["no definitions"],
    )


def try_case(service, case):
    """Runs one; what is wrong, or None."""
    _, arguments, files, code, words = case
    return command.differs(command.run(service, arguments, files), code, words)
