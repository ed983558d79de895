"""The page of one event: its life from the first byte to the last word, and what was judged, as a person can look at it."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from console import lab, note
from console.picture import NoPicture, Picture
from console.site import Asked, NotFound, Site
from db.look_event import digests_of, explanations_of, one_event
from db.report import list_predictions
from db.tables import events
from stream.errors import Broken
from stream.feeds import FeedsConfig

#: In the order in which an event goes through them.
STAGES = ("accept", "gather", "wait", "fetch", "prepare", "infer", "save")
#: A window's length where its card does not say, in hours.
WINDOW_HOURS = 48.0
#: A longer note is cut on the page, in characters.
MOST_TEXT = 60_000


def event(site: Site, asked: Asked) -> Response:
    """The whole page."""
    with site.database.read() as connection:
        found = one_event(connection, asked.place["id"])
        moment = site.database.now(connection)
        digests = digests_of(connection, found["event"]) if found else []
    if found is None:
        raise NotFound("there is no event of this number")
    row = found["event"]
    frame = asked.number("n") or 0
    shown = _JUDGED[row["modality"]](site, found, digests, frame) if row["modality"] in _JUDGED else {}
    delayed = row["state"] == "waiting" and row["not_before"] and row["not_before"] > moment
    state = "delayed" if delayed else row["state"]
    return site.page("event.html", asked, **found, row=row, state=state, steps=_steps(row), stages=_stages(row), shown=shown)


def _steps(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What happened when; times of the hospital first, then ours."""
    opened = row["received_at"] + timedelta(seconds=row["gather_seconds"] or 0.0)
    steps: list[tuple[str, datetime | None, str]] = [
        ("acquired or observed", row["acquired_at"], "by the sender's own clock"),
        ("knows everything up to", row["as_of"], ""),
        ("last input received", row["received_at"], ""),
        ("event opened", opened, "once its case was complete and quiet" if row["gather_seconds"] else ""),
        ("claimed by a worker", row["claimed_at"], f"attempt {row['attempts']}"),
        ("not before", row["not_before"] if row["state"] == "waiting" else None, "a temporary error; it is tried again"),
        ("done" if row["state"] == "done" else "given up", row["done_at"], row["reason"]),
    ]
    return [{"what": what, "at": at, "note": said} for what, at, said in steps if at is not None]


def _stages(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How long each stage took, and its share of the longest."""
    spent = {stage: row[f"{stage}_seconds"] for stage in STAGES}
    most = max((value for value in spent.values() if value), default=0.0)
    return [
        {"name": stage, "seconds": value, "share": value / most if most else 0.0}
        for stage, value in spent.items()
        if value is not None
    ]


def _scan(site: Site, found: Mapping[str, Any], digests: Sequence[str], frame: int) -> dict[str, Any]:
    """Which of its images is shown, and its window; or why none can be."""
    frames = int(found["event"]["facts"].get("frames") or 1)
    several = len(digests) if len(digests) > 1 else frames
    heat = next((one for one in found["explanations"] if one["media_type"] == "image/png"), None)
    told = {"kind": "scan", "n": frame, "several": several, "heat": heat, "slices": len(digests)}
    try:
        return {**told, "picture": _picture(site, digests, frame)}
    except (NoPicture, Broken) as error:
        return {**told, "picture": None, "why": str(error)}


def _picture(site: Site, digests: Sequence[str], number: int) -> Picture:
    """The n-th instance of a series, or the n-th frame of one instance."""
    if not digests:
        raise NoPicture("it has no content")
    place, frame = (number, 0) if len(digests) > 1 else (0, number)
    if place >= len(digests):
        raise NoPicture("there is no such image in this series")
    return site.pictures.get(digests[place], frame, site.content(digests[place]))


def _why(found: Mapping[str, Any], kind: str) -> tuple[dict[str, Any] | None, Any]:
    """The first explanation of this kind and what it holds; (None, None) where none was computed."""
    one = next((one for one in found["explanations"] if one["kind"] == kind), None)
    return (one, json.loads(one["body"])) if one else (None, None)


def _lab(site: Site, found: Mapping[str, Any], digests: Sequence[str], _: int) -> dict[str, Any]:
    """Small multiples with the attributions, where there are some."""
    told, why = _why(found, "results")
    config = site.settings.config
    leaned = lab.Leaned.of(why or {})
    try:
        content = site.content(digests[0]) if digests else b""
        ranges = lab.reference_ranges(config)
        drawn = lab.small_multiples(content, FeedsConfig(config).analytes, ranges, hours=WINDOW_HOURS, leaned=leaned)
    except (Broken, ValueError) as error:
        return {"kind": "lab", "why": str(error), "multiples": [], "explained": None}
    return {"kind": "lab", "multiples": drawn, "explained": told, "hours": leaned.hour_bars(), "facts": leaned.facts}


def _note(site: Site, found: Mapping[str, Any], digests: Sequence[str], _: int) -> dict[str, Any]:
    """The text in pieces."""
    told, why = _why(found, "tokens")
    try:
        text = site.content(digests[0]).decode("utf-8", "replace") if digests else ""
    except Broken as error:
        return {"kind": "note", "why": str(error), "pieces": [], "explained": None}
    pieces = note.pieces(text[:MOST_TEXT], why or [])
    return {"kind": "note", "pieces": pieces, "explained": told, "cut": len(text) > MOST_TEXT}


_JUDGED = {"scan": _scan, "lab": _lab, "note": _note}


def image(site: Site, asked: Asked) -> Response:
    """The picture as PNG, under the window that the address names or the header's own."""
    return Response(
        _asked_picture(site, asked).png(_float(asked, "centre"), _float(asked, "width")), media_type="image/png", headers=_KEEP
    )


def samples(site: Site, asked: Asked) -> Response:
    """The picture's 16-bit samples, for the page to draw under any window."""
    return Response(_asked_picture(site, asked).samples, media_type="application/octet-stream", headers=_KEEP)


def heat(site: Site, asked: Asked) -> Response:
    """The heat map that lies over the image."""
    with site.database.read() as connection:
        said = list_predictions(connection, event_id=asked.place["id"])
        found = explanations_of(connection, [one["id"] for one in said])
    body = next((one["body"] for one in found if one["media_type"] == "image/png"), None)
    if body is None:
        raise NotFound("no heat map was computed")
    return Response(bytes(body), media_type="image/png", headers=_KEEP)


#: A content never changes; only this browser keeps it, for a while.
_KEEP = {"Cache-Control": "private, max-age=600"}


def _asked_picture(site: Site, asked: Asked) -> Picture:
    with site.database.read() as connection:
        row = connection.execute(events.select().where(events.c.id == asked.place["id"])).mappings().first()
        digests = digests_of(connection, dict(row)) if row else []
    try:
        return _picture(site, digests, asked.number("n") or 0)
    except NoPicture as error:
        raise NotFound(str(error)) from error


def _float(asked: Asked, name: str) -> float | None:
    try:
        value = float(asked.query.get(name, ""))
    except ValueError:
        return None
    return value if abs(value) < 1e9 else None
