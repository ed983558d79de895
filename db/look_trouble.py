"""What went wrong, grouped by reason: dead events, inputs that a gate refused, and what was refused at the door."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.report import DROPPED
from db.tables import actions, events, refusals

#: Groups of one kind on the page, the largest first.
MOST_GROUPS = 60
#: Examples that a group of dead events links to.
EXAMPLES = 50


@dataclass(frozen=True, kw_only=True)
class Group:
    """Events with these three in common."""

    modality: str
    stage: str
    reason: str


def _groups(*by: sa.Column[Any]) -> sa.Select[Any]:
    number = sa.func.count().label("n")
    spread = (sa.func.min(events.c.done_at).label("first_at"), sa.func.max(events.c.done_at).label("last_at"))
    return sa.select(*by, number, *spread, sa.func.max(events.c.id).label("newest")).group_by(*by).order_by(number.desc())


def dead_groups(connection: sa.Connection) -> list[dict[str, Any]]:
    """Dead events by modality, stage and reason; ``dropped`` says that somebody has closed them."""
    query = _groups(events.c.modality, events.c.stage, events.c.reason).where(events.c.state == "dead").limit(MOST_GROUPS)
    return [{**row, "dropped": row["reason"].startswith(DROPPED)} for row in _rows(connection, query)]


def not_predicted_groups(connection: sa.Connection, since: datetime) -> list[dict[str, Any]]:
    """Events that ended rejected or unmatched since then, by modality and reason."""
    ended = (events.c.state == "done") & (events.c.outcome != "predicted") & (events.c.done_at >= since)
    query = _groups(events.c.modality, events.c.outcome, events.c.reason).where(ended).limit(MOST_GROUPS)
    return _rows(connection, query)


def refusal_groups(connection: sa.Connection, since: datetime) -> list[dict[str, Any]]:
    """What senders were refused since then, by feed, reason and place."""
    by = (refusals.c.feed, refusals.c.reason, refusals.c.place)
    number = sa.func.sum(refusals.c.times).label("n")
    query = sa.select(*by, number, sa.func.max(refusals.c.at).label("last_at")).where(refusals.c.at >= since)
    return _rows(connection, query.group_by(*by).order_by(number.desc()).limit(MOST_GROUPS))


def dead_of(connection: sa.Connection, group: Group, limit: int | None = None) -> list[int]:
    """Ids of the dead events of a group, newest first."""
    same = (events.c.modality == group.modality) & (events.c.stage == group.stage) & (events.c.reason == group.reason)
    query = sa.select(events.c.id).where(events.c.state == "dead", same).order_by(events.c.id.desc()).limit(limit)
    return list(connection.execute(query).scalars())


def dead_rows(connection: sa.Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Those of these events that are dead now."""
    columns = (events.c.id, events.c.modality, events.c.lane, events.c.stage, events.c.reason, events.c.attempts, events.c.done_at)
    found: list[dict[str, Any]] = []
    for start in range(0, len(ids), 500):
        query = sa.select(*columns).where(events.c.state == "dead", events.c.id.in_(ids[start : start + 500]))
        found += _rows(connection, query.order_by(events.c.id.desc()))
    return found


def newest_dead(connection: sa.Connection, limit: int) -> list[dict[str, Any]]:
    """Dead events that nobody has dropped, newest first."""
    open_ones = (events.c.state == "dead") & ~events.c.reason.like(f"{DROPPED}%")
    columns = (events.c.id, events.c.modality, events.c.lane, events.c.stage, events.c.reason, events.c.attempts, events.c.done_at)
    return _rows(connection, sa.select(*columns).where(open_ones).order_by(events.c.id.desc()).limit(limit))


def newest_actions(connection: sa.Connection, limit: int) -> list[dict[str, Any]]:
    """What people did last: one line a deed, however many events it touched."""
    by = (actions.c.at, actions.c.who, actions.c.act, actions.c.reason)
    query = sa.select(*by, sa.func.count().label("n"), sa.func.max(actions.c.event_id).label("event_id"))
    return _rows(connection, query.group_by(*by).order_by(actions.c.at.desc()).limit(limit))


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]
