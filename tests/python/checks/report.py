"""One line per thing checked, and a closing line that counts them."""

import sys
import traceback


class Failed(Exception):
    """A check that does not hold; the message says what was expected and what came."""


class Report:
    """Collects and prints what was checked."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def ok(self, name):
        self.passed += 1
        print(f"ok    {name}", flush=True)

    def fail(self, name, why):
        self.failed += 1
        print(f"FAIL  {name}: {why}", flush=True)

    def note(self, text):
        print(f"      {text}", flush=True)

    def check(self, name, test, *args):
        """Runs `test(*args)`; it fails by raising. Returns what it returned, or None."""
        try:
            result = test(*args)
        except Failed as error:
            self.fail(name, error)
        except Exception as error:  # a check that cannot be made does not hold
            self.fail(name, f"{type(error).__name__}: {error}")
            traceback.print_exc(file=sys.stderr)
        else:
            self.ok(name)
            return result
        return None

    def close(self):
        """Prints the closing line; the process's exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def expect(holds, message):
    """Raises unless `holds`."""
    if not holds:
        raise Failed(message)


def equal(what, expected, got):
    """Raises unless the two are equal."""
    if expected != got:
        raise Failed(f"{what}: expected {expected!r}, got {got!r}")
