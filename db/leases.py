"""Who may work: a row an incarnation of a worker, with a lease that its heartbeat renews and a keeper ends."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.rows import change_rows
from db.tables import events, workers
from db.tally import Counts, raise_tallies
from stream.errors import Fatal
from stream.queues import ALL_QUEUES

#: A lease lasts so long after a heartbeat …
LEASE = timedelta(seconds=6)
#: … and a heartbeat comes this often, in seconds.
BEAT_SECONDS = 2.0
#: What a dead worker held is suspect. Beyond so many it is judged once more together, in case it was not to blame …
FEW = 4
#: … else, and after another crash, each is judged alone, and after so many crashes alone it is dead.
MAX_CRASHES = 2
#: Ended incarnations are forgotten after this time.
FORGET_AFTER = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """What a worker says of itself when it starts. ``queues``: the names it serves, by commas."""

    name: str
    device: str
    host: str
    pid: int
    queues: str


def enlist(connection: sa.Connection, now: datetime, row: WorkerRow) -> int:
    """Begin an incarnation; earlier ones of the same name and host have ended, and their events are released."""
    end_earlier(connection, now, name=row.name, host=row.host)
    values = {**vars(row), "started_at": now, "lease_until": now + LEASE, "progress_at": now, "claimed_at": now}
    worker_id = connection.execute(sa.insert(workers).returning(workers.c.id), values).scalar_one()
    return int(worker_id)


def end_earlier(connection: sa.Connection, now: datetime, *, name: str, host: str) -> None:
    """End what is left of a worker whose process is known to be gone; what it held comes free at once."""
    left = sa.select(workers.c.id).where(workers.c.name == name, workers.c.host == host, workers.c.ended_at.is_(None))
    counts: Counts = Counter()
    for worker_id in connection.execute(left).scalars().all():
        end_worker(connection, now, worker_id, crashed=True, counts=counts)
    raise_tallies(connection, name, counts)


def renew(connection: sa.Connection, now: datetime, worker_id: int, *, stage: str) -> None:
    """Renew a lease; raises Fatal when it has been ended by a keeper: this process must not go on."""
    _write_alive(connection, _RENEW, worker=worker_id, until=now + LEASE, reached=stage)


def progress(connection: sa.Connection, now: datetime, worker_id: int, *, claimed: bool = False) -> None:
    """Write down that this worker gets on; raises Fatal when it has been ended.

    Its row is held until the transaction ends, so that no keeper ends it meanwhile.
    """
    _write_alive(connection, _CLAIMED if claimed else _PROGRESS, worker=worker_id, now=now)


def _write_alive(connection: sa.Connection, statement: sa.Update, **values: Any) -> None:
    if not change_rows(connection, statement, [values]):
        raise Fatal("the lease was lost")


_ALIVE = sa.update(workers).where(workers.c.id == sa.bindparam("worker"), workers.c.ended_at.is_(None))
_RENEW = _ALIVE.values(lease_until=sa.bindparam("until"), stage=sa.bindparam("reached"))
_PROGRESS = _ALIVE.values(progress_at=sa.bindparam("now"))
_CLAIMED = _ALIVE.values(progress_at=sa.bindparam("now"), claimed_at=sa.bindparam("now"))


def set_stage(connection: sa.Connection, worker_id: int, stage: str) -> None:
    """Say how far a suspect has come, so that the reason of its death can name the stage."""
    connection.execute(sa.update(workers).where(workers.c.id == worker_id).values(stage=stage))


def end_worker(connection: sa.Connection, now: datetime, worker_id: int, *, crashed: bool, counts: Counts | None = None) -> int:
    """End an incarnation and release what it holds; returns how many events that were.

    After a crash each of them is suspect, and one that was so before, or is one of few, is to be alone from now on and is nearer
    to its cap; at the cap it is dead.
    """
    row = connection.execute(
        sa.select(workers.c.stage).where(workers.c.id == worker_id, workers.c.ended_at.is_(None)).with_for_update()
    ).first()
    if row is None:
        return 0
    connection.execute(
        sa.update(workers).where(workers.c.id == worker_id).values(ended_at=now, ended_by="crash" if crashed else "stop")
    )
    held = (events.c.holder == worker_id) & (events.c.state == "leased")
    free = {"state": "waiting", "holder": None, "fence": events.c.fence + 1}
    if crashed:
        _bury(connection, now, held, row.stage, counts)
        number = connection.execute(sa.select(sa.func.count()).where(held)).scalar_one()
        alone = sa.true() if number <= FEW else events.c.suspect
        free |= {"crashes": events.c.crashes + sa.case((alone, 1), else_=0), "suspect": sa.true()}
    return connection.execute(sa.update(events).where(held).values(free)).rowcount


def _bury(connection: sa.Connection, now: datetime, held: sa.ColumnElement[bool], stage: str, counts: Counts | None) -> None:
    """What crashed a worker while alone, too often, is dead; its first crash was with others, or might have been."""
    again = held & events.c.suspect & (events.c.crashes >= MAX_CRASHES)
    reason = f"the worker's process ended {MAX_CRASHES} times while it judged this event alone"
    values = {"state": "dead", "stage": stage, "reason": reason, "done_at": now, "holder": None, "fence": events.c.fence + 1}
    values["crashes"] = events.c.crashes + 1
    buried = sa.update(events).where(again).values(values).returning(events.c.modality, events.c.lane)
    for modality, lane in connection.execute(buried):
        if counts is not None:
            counts["dead", (modality, stage)] += 1
            counts["dead_by_lane", (modality, lane)] += 1


def expire(connection: sa.Connection, now: datetime, counts: Counts) -> int:
    """End every incarnation whose lease has run out; returns how many events came free.

    Not one whose row is locked: a worker that was stopped within a transaction, or cut off, must not hold up the keeper.
    """
    over = sa.select(workers.c.id).where(workers.c.ended_at.is_(None), workers.c.lease_until < now)
    over = over.with_for_update(skip_locked=True)
    return sum(
        end_worker(connection, now, worker_id, crashed=True, counts=counts)
        for worker_id in connection.execute(over).scalars().all()
    )


def forget(connection: sa.Connection, now: datetime) -> None:
    """Drop rows of incarnations that ended long ago and hold nothing."""
    connection.execute(sa.delete(workers).where(workers.c.ended_at < now - FORGET_AFTER))


def unserved_queues(connection: sa.Connection, now: datetime, *, quiet: timedelta) -> Sequence[tuple[str, str]]:
    """(modality, lane) with events that wait, while nobody who serves the queue has claimed anything for ``quiet``.

    What waits is only looked at where some queue is not served: a backlog of 100,000 is no small look.
    """
    busy = sa.select(workers.c.queues).where(workers.c.ended_at.is_(None), workers.c.claimed_at > now - quiet)
    served = {name for queues in connection.execute(busy).scalars() for name in queues.split(",")}
    if served.issuperset(ALL_QUEUES):
        return []
    ready = (events.c.state == "waiting") & (events.c.not_before.is_(None) | (events.c.not_before <= now))
    waiting = connection.execute(sa.select(events.c.modality, events.c.lane).where(ready).distinct()).all()
    return [(modality, lane) for modality, lane in waiting if f"{modality}.{lane}" not in served]
