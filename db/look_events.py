"""A page of events by filters, newest first: what the console's list reads, bounded by the page and never by the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.people import same_person
from db.tables import events, findings, predictions
from db.tally import read_tallies

#: Events on one page.
PAGE = 50

#: What the list shows of an event.
_SHOWN = (
    events.c.id, events.c.revision, events.c.modality, events.c.lane, events.c.feed, events.c.patient_key, events.c.state,
    events.c.outcome, events.c.reason, events.c.stage, events.c.attempts, events.c.received_at, events.c.done_at,
    events.c.not_before,
)  # fmt: skip

#: Filters that are compared as they are.
EXACT = ("modality", "lane", "state", "outcome", "feed")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is looked for; an empty one filters nothing. ``reason``: a part of it, in any case. Times are of the last input."""

    modality: str = ""
    lane: str = ""
    state: str = ""
    outcome: str = ""
    feed: str = ""
    reason: str = ""
    patient: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class EventsPage:
    """Newest first. ``older``, ``newer``: the id to go on from in that direction, None at an end."""

    rows: Sequence[dict[str, Any]]
    older: int | None
    newer: int | None


def events_page(
    connection: sa.Connection, now: datetime, filters: Filters, *, before: int | None = None, after: int | None = None
) -> EventsPage:
    """The newest page; the one of ids below ``before``; or the one of ids above ``after`` that ends at it."""
    query = sa.select(*_SHOWN).where(*_conditions(connection, now, filters)).limit(PAGE + 1)
    if after is not None:
        query = query.where(events.c.id > after).order_by(events.c.id)
    else:
        query = query.where(events.c.id < before if before is not None else sa.true()).order_by(events.c.id.desc())
    found = [dict(row) for row in connection.execute(query).mappings()]
    more, rows = len(found) > PAGE, found[:PAGE]
    if after is not None:
        rows = rows[::-1]
        return EventsPage(rows=rows, older=rows[-1]["id"] if rows else None, newer=rows[0]["id"] if more else None)
    newer = rows[0]["id"] if rows and before is not None else None
    return EventsPage(rows=rows, older=rows[-1]["id"] if more else None, newer=newer)


def _conditions(connection: sa.Connection, now: datetime, filters: Filters) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = [
        events.c[name] == getattr(filters, name) for name in EXACT if getattr(filters, name) and name != "state"
    ]
    if filters.state == "delayed":
        wanted += [events.c.state == "waiting", events.c.not_before > now]
    elif filters.state:
        wanted.append(events.c.state == filters.state)
    if filters.patient:
        wanted.append(events.c.patient_key.in_(same_person(connection, filters.patient)))
    if filters.reason:
        wanted.append(events.c.reason.icontains(filters.reason, autoescape=True))
    if filters.since:
        wanted.append(events.c.received_at >= filters.since)
    if filters.until:
        wanted.append(events.c.received_at < filters.until)
    return wanted


def said_of(connection: sa.Connection, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Event → its newest prediction with the likeliest finding, a positive one first."""
    if not ids:
        return {}
    made = sa.select(predictions).where(predictions.c.event_id.in_(ids)).order_by(predictions.c.id)
    newest = {row["event_id"]: dict(row) for row in connection.execute(made).mappings()}
    by_id = {row["id"]: row for row in newest.values()}
    found = sa.select(findings).where(findings.c.prediction_id.in_(list(by_id)))
    for row in connection.execute(found.order_by(findings.c.positive, findings.c.probability)).mappings():
        by_id[row["prediction_id"]]["finding"] = dict(row)
    return newest


def feeds_seen(connection: sa.Connection) -> list[str]:
    """Names to choose from in the filter: one step through the tallies' few rows, not through the events."""
    return sorted({feed for feed, _ in read_tallies(connection).get("inputs", {})})
