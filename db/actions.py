"""What people do to events, and the record of who did it: both in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.report import DROPPED, drop_dead, retry_dead
from db.tables import actions, events

#: Acts on dead events, by name.
ACTS = {"retry": retry_dead, "drop": drop_dead}

#: Events that one statement touches.
STEP = 500


def act_on_dead(connection: sa.Connection, now: datetime, act: str, ids: Sequence[int], *, who: str, reason: str = "") -> int:
    """Retry or drop those of ``ids`` that are dead; returns how many that were. One row of ``actions`` each."""
    done = 0
    for start in range(0, len(ids), STEP):
        chosen = _dead(connection, ids[start : start + STEP], act)
        touched = list(chosen)
        if touched:
            rows = [_row(now, act, who, reason, event_id=one, before=chosen[one]) for one in touched]
            done += ACTS[act](connection, touched)
            connection.execute(sa.insert(actions), rows)
    return done


def record_deed(connection: sa.Connection, now: datetime, act: str, *, who: str, reason: str = "") -> None:
    """Something that concerns no single event, such as a backlog that was paused."""
    connection.execute(sa.insert(actions), [_row(now, act, who, reason, event_id=None, before="")])


def _dead(connection: sa.Connection, ids: Sequence[int], act: str) -> dict[int, str]:
    """Those that the act would change, locked so that nobody else does meanwhile: id → the reason as it stands."""
    dead = sa.select(events.c.id, events.c.reason).where(events.c.state == "dead", events.c.id.in_(ids))
    if act == "drop":
        dead = dead.where(~events.c.reason.like(f"{DROPPED}%"))
    return {row.id: row.reason for row in connection.execute(dead.order_by(events.c.id).with_for_update())}


def _row(now: datetime, act: str, who: str, reason: str, *, event_id: int | None, before: str) -> dict[str, Any]:
    return {"at": now, "who": who, "act": act, "event_id": event_id, "reason": reason, "before": before}
