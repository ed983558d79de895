"""The claim: at most one batch, stat before routine before backlog, oldest first; a suspect comes alone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.engine import Database
from db.leases import check_lease
from db.tables import case_inputs, cases, contents, events, inputs, workers
from stream.content import ContentStore
from stream.errors import Broken
from stream.event import Event
from stream.queues import ALL_QUEUES

#: What a worker sees of an event.
_COLUMNS = (
    events.c.id, events.c.case_key, events.c.revision, events.c.modality, events.c.lane, events.c.facts, events.c.digest,
    events.c.inputs_through, events.c.fence, events.c.attempts, events.c.failures, events.c.suspect, events.c.received_at,
    events.c.acquired_at, events.c.as_of, events.c.gather_seconds,
)  # fmt: skip


#: A batch is full at this sum of weights: 32 scans, 64 notes or 256 windows of results.
FULL = 256
WEIGHTS = {"scan": 8, "note": 4, "lab": 1}


def claim(
    database: Database, worker_id: int, *, limit: int = FULL, queues: Sequence[str] = ALL_QUEUES, suspects: bool = True
) -> list[Event]:
    """Lease one batch, ``limit`` events at the most. ``suspects`` False: stop before a suspect, which must be alone.

    An empty claim reads before it locks. Raises Fatal when the lease was lost, Temporary without a database.
    """
    with database.read() as connection:
        if connection.execute(_candidates(database.now(connection), 1, queues)).first() is None:
            return []
    with database.write() as (connection, now):
        check_lease(connection, worker_id)
        found = connection.execute(_candidates(now, limit, queues).with_for_update(skip_locked=True)).all()
        ids = _choose(found, suspects=suspects)
        if not ids:
            return []
        values = {
            "state": "leased",
            "holder": worker_id,
            "fence": events.c.fence + 1,
            "attempts": events.c.attempts + 1,
            "claimed_at": now,
        }
        leased = sa.update(events).where(events.c.id.in_(ids), events.c.state == "waiting").values(values).returning(*_COLUMNS)
        rows = sorted(connection.execute(leased).mappings().all(), key=lambda row: ids.index(row["id"]))
        connection.execute(sa.update(workers).where(workers.c.id == worker_id).values(claimed_at=now, progress_at=now))
    return [_event(row, now) for row in rows]


def _candidates(now: datetime, limit: int, queues: Sequence[str]) -> sa.Select[Any]:
    ready = (events.c.state == "waiting") & (events.c.not_before.is_(None) | (events.c.not_before <= now))
    if set(queues) != set(ALL_QUEUES):
        pairs = [name.split(".") for name in queues]
        ready &= sa.or_(*[(events.c.modality == modality) & (events.c.lane == lane) for modality, lane in pairs])
    return (
        sa.select(events.c.id, events.c.suspect, events.c.modality)
        .where(ready)
        .order_by(events.c.lane_rank, events.c.id)
        .limit(limit)
    )


def _choose(found: Sequence[Any], *, suspects: bool) -> list[int]:
    """The first alone if it is a suspect, else all before the first suspect until the batch is full."""
    if found and found[0].suspect:
        return [found[0].id] if suspects else []
    ids: list[int] = []
    weight = 0
    for row in found:
        weight += WEIGHTS[row.modality]
        if row.suspect or weight > FULL:
            break
        ids.append(row.id)
    return ids


def _event(row: Any, now: datetime) -> Event:
    values = {name: value for name, value in row.items() if name != "suspect"}
    return Event(**values, alone=row["suspect"], claimed_at=now)


def fetch(database: Database, store: ContentStore, batch: Sequence[Event]) -> dict[int, tuple[bytes, ...] | Exception]:
    """The bytes of each event's content, or why they cannot be had, by event id."""
    with database.read() as connection:
        digests = {event.id: _digests(connection, event) for event in batch}
        small = _small(connection, sorted({digest for wanted in digests.values() for digest in wanted}))
    return {event_id: _load(store, small, wanted) for event_id, wanted in digests.items()}


def _small(connection: sa.Connection, digests: Sequence[str]) -> dict[str, bytes]:
    """Those contents that are rows."""
    found: dict[str, bytes] = {}
    for start in range(0, len(digests), 500):
        query = sa.select(contents.c.digest, contents.c.data).where(contents.c.digest.in_(digests[start : start + 500]))
        found.update({digest: bytes(data) for digest, data in connection.execute(query)})
    return found


def _digests(connection: sa.Connection, event: Event) -> list[str]:
    """Of the one content, or of every instance of a series up to the last one that this event judges."""
    if not event.case_key.startswith("series:"):
        return [event.digest]
    gathered = sa.select(inputs.c.digest).join(case_inputs, case_inputs.c.input_id == inputs.c.id)
    gathered = gathered.join(cases, cases.c.id == case_inputs.c.case_id)
    through = (cases.c.case_key == event.case_key) & (inputs.c.id <= event.inputs_through)
    return list(connection.execute(gathered.where(through).order_by(inputs.c.id)).scalars())


def _load(store: ContentStore, small: dict[str, bytes], digests: Sequence[str]) -> tuple[bytes, ...] | Exception:
    if not digests:
        return Broken("it has no content")
    try:
        return tuple(small[digest] if digest in small else store.get(digest) for digest in digests)
    except Broken as error:
        return error
