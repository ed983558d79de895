"""The claim: at most one batch, stat before routine before backlog, oldest first; suspects and stat come by themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from db.change import change_all
from db.engine import Database
from db.leases import progress
from db.places import Place, find_places
from db.rows import read_rows
from db.tables import Utc, case_inputs, cases, contents, events, inputs
from stream.content import ContentStore
from stream.errors import Broken, NotReadableError
from stream.event import Event
from stream.queues import ALL_QUEUES, LANE_RANK, Lane

#: What a worker sees of an event.
_COLUMNS = (
    events.c.id, events.c.case_key, events.c.revision, events.c.modality, events.c.lane, events.c.facts, events.c.digest,
    events.c.inputs_through, events.c.fence, events.c.attempts, events.c.failures, events.c.suspect, events.c.crashes,
    events.c.received_at, events.c.acquired_at, events.c.as_of, events.c.gather_seconds,
)  # fmt: skip
_NAMES = tuple(column.name for column in _COLUMNS)
_ID, _MODALITY, _LANE, _FENCE, _ATTEMPTS, _SUSPECT, _CRASHES = (
    _NAMES.index(name) for name in ("id", "modality", "lane", "fence", "attempts", "suspect", "crashes")
)
Row = tuple[Any, ...]

#: A batch is full at this sum of weights: 32 scans, 64 notes or 256 windows of results.
FULL = 256
WEIGHTS = {"scan": 8, "note": 4, "lab": 1}


def claim(
    database: Database,
    worker_id: int,
    *,
    limit: int = FULL,
    queues: Sequence[str] = ALL_QUEUES,
    behind: str | None = None,
    rung: bool = False,
) -> list[Event]:
    """Lease one batch, ``limit`` events at the most.

    ``behind``: the lane of a batch that this worker will judge before. Nothing is leased then that should not wait for that:
    no suspects, which would take it along when they crash, and no stat unless it is stat itself.

    An empty claim reads before it locks, unless this worker was just ``rung``. Raises Fatal when the lease was lost, Temporary
    without a database.
    """
    if not rung:
        with database.read() as connection:
            if not _first(connection, queues, database.now(connection)):
                return []
    with database.write(durable=False) as (connection, now):
        return claim_within(connection, now, worker_id, limit=limit, queues=queues, behind=behind)


def claim_within(
    connection: sa.Connection,
    now: datetime,
    worker_id: int,
    *,
    limit: int = FULL,
    queues: Sequence[str] = ALL_QUEUES,
    behind: str | None = None,
) -> list[Event]:
    """The same within a transaction. Raises Fatal when the lease was lost."""
    progress(connection, now, worker_id, claimed=True)
    first = _first(connection, queues, now)
    if not first:
        return []
    most = min(limit, FULL // WEIGHTS[first[0][_MODALITY]])
    rows = _choose(read_rows(connection, _candidates(tuple(queues), locked=True), now=now, most=most), behind)
    _lease(connection, now, worker_id, rows)
    return [_event(row, now) for row in rows]


def _lease(connection: sa.Connection, now: datetime, worker_id: int, rows: Sequence[Row]) -> None:
    """All are locked, so that what was read of them still holds."""
    leased = {"state": "leased", "holder": worker_id, "claimed_at": now}
    change_all(
        connection,
        events,
        [{"id": row[_ID], "fence": row[_FENCE] + 1, "attempts": row[_ATTEMPTS] + 1, **leased} for row in rows],
    )


def is_full(batch: Sequence[Event]) -> bool:
    """Whether more may have waited than the claim took."""
    weight = sum(WEIGHTS[event.modality] for event in batch)
    return weight > FULL - max(WEIGHTS.values()) or len(batch) >= FULL // WEIGHTS[batch[0].modality]


def _first(connection: sa.Connection, queues: Sequence[str], now: datetime) -> Sequence[Row]:
    return read_rows(connection, _candidates(tuple(queues), locked=False), now=now, most=1)


@cache
def _candidates(queues: tuple[str, ...], *, locked: bool) -> sa.Select[Any]:
    """What may be claimed ``now``, ``most`` of it; locked, so that nobody else claims it: nothing is returned twice.

    The state stands in the text: as a parameter it would leave the planner to guess whether the partial index serves.
    """
    now, most = sa.bindparam("now", type_=Utc), sa.bindparam("most", type_=sa.Integer)
    ready = (events.c.state == sa.literal_column("'waiting'")) & (events.c.not_before.is_(None) | (events.c.not_before <= now))
    if set(queues) != set(ALL_QUEUES):
        pairs = [name.split(".") for name in queues]
        ranks = [LANE_RANK[Lane(lane)] for _, lane in pairs]
        ready &= events.c.lane_rank.between(min(ranks), max(ranks))  # the others need not be looked through
        ready &= sa.or_(*[(events.c.modality == modality) & (events.c.lane == lane) for modality, lane in pairs])
    query = sa.select(*_COLUMNS).where(ready).order_by(events.c.lane_rank, events.c.id).limit(most)
    return query.with_for_update(skip_locked=True) if locked else query


def _choose(found: Sequence[Row], behind: str | None) -> Sequence[Row]:
    """All before one of another kind until the batch is full; of those that must be alone, one."""
    if not found or (behind and not _may_wait(found[0], behind)):
        return []
    if _alone(found[0]):
        return found[:1]
    weight = 0
    for place, row in enumerate(found):
        weight += WEIGHTS[row[_MODALITY]]
        if _kind(row) != _kind(found[0]) or _alone(row) or weight > FULL:
            return found[:place]
    return found


def _may_wait(row: Row, behind: str) -> bool:
    """For a batch of that lane to be judged."""
    return not row[_SUSPECT] and (behind == Lane.STAT or not _is_stat(row))


def _kind(row: Row) -> tuple[bool, bool]:
    """Suspects have no batch-mates that are none, and stat none that it would have to wait for."""
    return bool(row[_SUSPECT]), _is_stat(row)


def _is_stat(row: Row) -> bool:
    return bool(row[_LANE] == Lane.STAT)


def _alone(row: Row) -> bool:
    """Whether a crash may have been its own doing (db/leases.py)."""
    return bool(row[_SUSPECT] and row[_CRASHES])


def _event(row: Row, now: datetime) -> Event:
    """As it is after the claim."""
    values = dict(zip(_NAMES, row, strict=True))
    del values["crashes"]
    raised = {"fence": values["fence"] + 1, "attempts": values["attempts"] + 1}
    return Event(**values | raised, alone=_alone(row), claimed_at=now)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where the bytes of an event are: small ones in memory, files still on their disk."""

    store: ContentStore
    digests: Sequence[str]
    small: Mapping[str, bytes]
    places: Mapping[str, Place]

    @property
    def on_disk(self) -> bool:
        """Whether any of them must be read from a disk."""
        return any(digest not in self.small for digest in self.digests)

    def read(self) -> tuple[bytes, ...] | Exception:
        """One entry a content, or why they cannot be had; raises Temporary without the disk."""
        try:
            return tuple(map(self._read, self.digests)) or Broken("it has no content")
        except (Broken, NotReadableError) as error:
            return error

    def _read(self, digest: str) -> bytes:
        """A content that was left in place is read there, unless the store has it from elsewhere."""
        if digest in self.small:
            return self.small[digest]
        if digest in self.places and not self.store.holds(digest):
            return self.places[digest].read()
        return self.store.get(digest)


def find(database: Database, store: ContentStore, batch: Sequence[Event]) -> dict[int, Found]:
    """Where each event's bytes are, by event id; the disk is asked to bring what the store has as files."""
    with database.read() as connection:
        digests = {event.id: _digests(connection, event) for event in batch}
        wanted = {digest for some in digests.values() for digest in some}
        small = _small(connection, sorted(wanted))
        places = find_places(connection, wanted - small.keys())
    for digest in wanted - small.keys():
        store.hurry(digest)
    return {number: Found(store=store, digests=some, small=small, places=places) for number, some in digests.items()}


def fetch(database: Database, store: ContentStore, batch: Sequence[Event]) -> dict[int, tuple[bytes, ...] | Exception]:
    """The bytes of each event's content, or why they cannot be had, by event id."""
    return {event_id: found.read() for event_id, found in find(database, store, batch).items()}


def _small(connection: sa.Connection, digests: Sequence[str]) -> dict[str, bytes]:
    """Those contents that are rows."""
    found: dict[str, bytes] = {}
    for start in range(0, len(digests), 500):
        found.update(read_rows(connection, _CONTENTS, digests=digests[start : start + 500]))
    return found


_CONTENTS = sa.select(contents.c.digest, contents.c.data).where(contents.c.digest.in_(sa.bindparam("digests", expanding=True)))


def _digests(connection: sa.Connection, event: Event) -> list[str]:
    """Of the one content, or of every instance of a series up to the last one that this event judges."""
    if not event.case_key.startswith("series:"):
        return [event.digest]
    gathered = sa.select(inputs.c.digest).join(case_inputs, case_inputs.c.input_id == inputs.c.id)
    gathered = gathered.join(cases, cases.c.id == case_inputs.c.case_id)
    through = (cases.c.case_key == event.case_key) & (inputs.c.id <= event.inputs_through)
    return list(connection.execute(gathered.where(through).order_by(inputs.c.id)).scalars())
