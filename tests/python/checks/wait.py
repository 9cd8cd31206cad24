"""Waiting for something, never longer than said."""

import time

from checks.report import Failed


def until(what, test, seconds, every=0.1):
    """Calls `test` until it returns something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        result = test()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(every)


def quiet(seconds, test):
    """Watches for `seconds`; raises with what `test` returns as soon as that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        wrong = test()
        if wrong:
            raise Failed(wrong)
        time.sleep(0.1)
