"""Settings of a workspace with one thing wrong each."""

from rubbish.build import changed, copied
from rubbish.case import Below, Case, Want, invalid
from rubbish.fields import refusal, wrong
from rubbish.values import ADDRESSES, CONTROLS


def settings(valid, calendar):
    """Settings of a workspace that are none."""
    method = "WorkspaceService/UpdateWorkspace"
    good = valid[method]
    yield wrong(good, method, "workspace.displayName", "x" * 257)
    for zone in (
        "Mars/Olympus",
        "europe",
        "UTC+25",
        "../../etc/passwd",
        "/etc/passwd",
        "Europe/Berlin\0",
        "x" * 65,
        " ",
        "posixrules/..",
        "x" * 100_000,
    ):
        yield wrong(good, method, "workspace.defaultZone", zone)
        zoned = calendar(hours="Mo-Fr 09:00-17:00", zone=zone)
        yield Case(
            f"calendar in {zone[:12]!r}",
            method,
            changed(good, "workspace.calendars", {"office": zoned}),
            refusal(method, "workspace.calendars.office.zone"),
        )
    for hours in (
        "",
        " ",
        "whenever",
        "25:00-26:00",
        "off",
        "Xx 09:00-17:00",
        "a\0b",
        "Mo" * 513,
        "PH",
        "2020 Jan 01 09:00-10:00",
        "(" * 500,
        "Mo-Fr 99:99-99:99",
        "🦀",
        "Mo-Fr 09:00-17:00;" * 60,
    ):
        timed = calendar(hours=hours, zone="UTC")
        yield Case(
            f"hours {hours[:20]!r}",
            method,
            changed(good, "workspace.calendars", {"office": timed}),
            refusal(method, "workspace.calendars.office.hours"),
        )
    for day in (
        "",
        "2026-02-30",
        "2026-13-01",
        "26-01-01",
        "01.05.2026",
        "2026-05-01T00:00:00Z",
        "today",
        "a\0b",
        "+999999-01-01",
        "x" * 100_000,
    ):
        dated = calendar(hours="Mo-Fr 09:00-17:00", holidays=[day], zone="UTC")
        yield Case(
            f"holiday {day[:12]!r}",
            method,
            changed(good, "workspace.calendars", {"office": dated}),
            refusal(method, "workspace.calendars.office.holidays[0]"),
        )
    plain = calendar(hours="Mo-Fr 09:00-17:00", zone="UTC")
    many = calendar(hours="Mo-Fr 09:00-17:00", holidays=["2026-05-01"] * 501, zone="UTC")
    yield Case(
        "501 holidays",
        method,
        changed(good, "workspace.calendars", {"office": many}),
        refusal(method, "workspace.calendars.office.holidays"),
    )
    some = {"office": plain} | {f"c{number}": plain for number in range(50)}
    yield Case(
        "51 calendars", method, changed(good, "workspace.calendars", some), refusal(method, "workspace.calendars")
    )
    for name in ("", "Office", "a b", "a\0b"):
        yield Case(
            f"calendar {name!r}",
            method,
            changed(good, "workspace.calendars", {"office": plain, name: plain}),
            refusal(method, f"workspace.calendars.{name}"),
        )
    for address in ADDRESSES:
        yield Case(
            f"sender {address[:20]!r}",
            method,
            changed(good, "workspace.sender.address", address),
            Below("workspace.sender"),
        )
        if address:
            yield wrong(good, method, "workspace.replyTo", address)
            yield wrong(good, method, "workspace.unsubscribe.mailto", address)
    for text in CONTROLS:
        yield Case(
            f"sender {text[:12]!r}",
            method,
            changed(good, "workspace.sender.displayName", text),
            Below("workspace.sender"),
        )
    for share in (0.51, -0.1, 0.00001, float("nan"), float("inf")):
        yield wrong(good, method, "workspace.holdout", share)
    yield Case("no workspace", method, changed(good, "workspace", None), invalid("workspace"))
    for paths in (["name"], ["etag"], ["calendars.office"], ["x" * 100_000]):
        masked = copied(good)
        masked.update_mask.paths.extend(paths)
        yield Case(f"mask {str(paths)[:30]}", method, masked, invalid("updateMask"))
    yield Case("a stale etag", method, changed(good, "workspace.etag", "stale"), Want("ABORTED", "STALE_ETAG"))
