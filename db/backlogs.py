"""Backlogs: what was asked to be pushed, which process is at it, and how far it is. The console reads and pauses them here."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.manifest import drop_files, try_again
from db.tables import backlogs, cases, events
from stream.errors import DxstreamError, Fatal
from stream.queues import LANE_RANK, Lane

#: A process that was not heard of for so long is gone.
SILENT = timedelta(seconds=15)
#: Cases of the backlog that close within this time count as waiting.
SOON = timedelta(minutes=2)

#: Counts of ``backlogs`` that ``advance`` raises.
COUNTED = ("files", "bytes", "taken", "known", "refused", "failed", "inputs")

_LANE = Lane.BACKLOG.value


class BusyError(DxstreamError):
    """Another process works on this backlog."""


class NoBacklogError(DxstreamError):
    """There is no such backlog."""


def open_backlog(connection: sa.Connection, now: datetime, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The backlog of this name, made if it is new; one that was done is listed again, and what was not taken is tried again.

    ``values``: ``source``, ``in_place``, ``rate``, ``hours``, ``depth``; those given last hold.
    """
    found = connection.execute(sa.select(backlogs).where(backlogs.c.name == name).with_for_update()).mappings().first()
    if found is None:
        row = {"name": name, "state": "running", "began_at": now, **values}
        connection.execute(sa.insert(backlogs), row)
    else:
        again = _again(connection, dict(found)) if found["state"] == "done" else {}
        connection.execute(sa.update(backlogs).where(backlogs.c.id == found["id"]).values(**values, **again))
    return dict(connection.execute(sa.select(backlogs).where(backlogs.c.name == name)).mappings().one())


def _again(connection: sa.Connection, found: Mapping[str, Any]) -> dict[str, Any]:
    counts = {name: found[name] + change for name, change in try_again(connection, found["id"]).items()}
    return {"state": "running", "listed_at": None, "listed_through": "", "ended_at": None, **counts}


def get_backlog(connection: sa.Connection, backlog_id: int) -> dict[str, Any]:
    """One backlog; raises NoBacklogError."""
    row = connection.execute(sa.select(backlogs).where(backlogs.c.id == backlog_id)).mappings().first()
    if row is None:
        raise NoBacklogError(f"there is no backlog {backlog_id}")
    return dict(row)


def list_backlogs(connection: sa.Connection) -> list[dict[str, Any]]:
    """All of them, the newest first."""
    return [dict(row) for row in connection.execute(sa.select(backlogs).order_by(backlogs.c.id.desc())).mappings()]


def take_over(connection: sa.Connection, now: datetime, backlog_id: int, runner: str, *, gone: bool) -> int:
    """Work on it from now on; returns the fence. ``gone``: the runner before is known to have ended. Raises BusyError."""
    row = connection.execute(sa.select(backlogs).where(backlogs.c.id == backlog_id).with_for_update()).mappings().one()
    if row["runner"] and not gone and row["seen_at"] and row["seen_at"] > now - SILENT:
        raise BusyError(f"backlog {backlog_id} is being worked on by {row['runner']}")
    values = {"runner": runner, "seen_at": now, "fence": row["fence"] + 1, "waits_for": ""}
    connection.execute(sa.update(backlogs).where(backlogs.c.id == backlog_id).values(values))
    return int(row["fence"]) + 1


def advance(connection: sa.Connection, backlog_id: int, fence: int, counts: Mapping[str, int], **values: Any) -> dict[str, Any]:
    """Raise counts and set values, under the fence; what the row then says. Raises Fatal when another process took over."""
    raised = {name: backlogs.c[name] + counts[name] for name in COUNTED if counts.get(name)}
    mine = (backlogs.c.id == backlog_id) & (backlogs.c.fence == fence)
    row = connection.execute(sa.update(backlogs).where(mine).values(**raised, **values).returning(backlogs)).mappings().first()
    if row is None:
        raise Fatal("another process works on this backlog now")
    return dict(row)


def set_state(connection: sa.Connection, backlog_id: int, state: str) -> bool:
    """``paused`` or ``running``; False when it is done already. Raises NoBacklogError."""
    if get_backlog(connection, backlog_id)["state"] == "done":
        return False
    open_ones = (backlogs.c.id == backlog_id) & (backlogs.c.state != "done")
    return bool(connection.execute(sa.update(backlogs).where(open_ones).values(state=state)).rowcount)


def forget_backlog(connection: sa.Connection, backlog_id: int, most: int) -> bool:
    """Take a backlog that is done out of the ledger, with at most so many rows of its manifest at a time; True when it is gone.

    What it brought stays. Raises NoBacklogError.
    """
    if get_backlog(connection, backlog_id)["state"] != "done":
        raise NoBacklogError(f"backlog {backlog_id} is not done")
    if drop_files(connection, backlog_id, most):
        return False
    connection.execute(sa.delete(backlogs).where(backlogs.c.id == backlog_id))
    return True


def waiting(connection: sa.Connection, now: datetime, most: int) -> int:
    """Events of the backlog's lane that wait, and its cases that are about to close; counted up to ``most`` of each."""
    waits = sa.select(events.c.id).where(events.c.state == "waiting", events.c.lane_rank == LANE_RANK[Lane.BACKLOG])
    gathers = sa.select(cases.c.id).where(cases.c.close_at <= now + SOON, cases.c.lane == _LANE)
    total = 0
    for query in (waits, gathers):
        counted = sa.select(sa.func.count()).select_from(query.limit(most).subquery())
        total += connection.execute(counted).scalar_one()
    return total
