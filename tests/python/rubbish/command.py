"""Runs a command of the program in a folder of its own, with files that a case brings."""

import subprocess
import tempfile
from pathlib import Path

from checks.service import clean_environment

# A command on a busy machine; none of these has much to do.
SECONDS = 60
# What a command never prints.
BROKEN = ("panicked at", "RUST_BACKTRACE", "stack overflow")


def run(service, arguments, files, stdin=b"", kept=None):
    """Exit code, stdout and stderr of a command.

    `@` in front of an argument means a file of the case; what the command left in the file
    `rejects` is put into `kept`.
    """
    with tempfile.TemporaryDirectory(prefix="rekindle-rubbish-") as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                content(path)
        words = [str(Path(folder, word[1:])) if word.startswith("@") else word for word in arguments]
        environment = clean_environment() | {"REKINDLE_ADDRESS": f"http://{service.address}"}
        try:
            done = subprocess.run(
                [str(service.binary), *words],
                input=stdin,
                capture_output=True,
                cwd=folder,
                env=environment,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None, "", f"still running after {SECONDS} s"
        left = Path(folder, "rejects")
        if kept is not None and left.exists():
            kept["rejects"] = left.read_text(errors="replace")
        return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def differs(found, code, words):
    """What is wrong with what a command did, or None: its exit code, and words that it must say."""
    got, stdout, stderr = found
    said = stdout + stderr
    if any(word in said for word in BROKEN):
        return f"it broke: {stderr[-300:]!r}"
    if got != code:
        return f"expected exit code {code}, got {got}: {stderr[-300:]!r}"
    missing = [word for word in words if word not in said]
    if missing:
        return f"does not say {missing}: {stderr[-300:]!r}"
    return None
