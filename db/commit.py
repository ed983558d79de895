"""The one transaction at the door: what every ask needs of it and adds to it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from db.rows import write_rows
from db.tables import cases, contents, events
from db.tally import Counts, dialect_insert
from stream.content import Content
from stream.queues import LANE_RANK, Lane, queue_name
from stream.window import Window


@dataclass(frozen=True)
class Outcome:
    """What became of one ask."""

    disposition: str
    reason: str = ""
    event_id: int | None = None
    conflict: bool = False


@dataclass
class Commit:
    """A transaction, its time by the database's clock, and what it will count and ring when it is through."""

    connection: sa.Connection
    now: datetime
    window: Window
    counts: Counts = field(default_factory=Counter)
    rings: dict[str, list[int]] = field(default_factory=dict)
    #: id() of an arrival of the group → seconds since it was submitted.
    waited: Mapping[int, float] = field(default_factory=dict)

    def keep(self, pieces: Sequence[Content]) -> None:
        """Small contents become rows; the same content twice is one row, as young as the second time."""
        rows = {piece.digest: piece.data for piece in pieces if piece.data is not None}
        if rows:
            statement = _keep(self.connection.dialect.name)
            found = [{"digest": digest, "data": data, "kept_at": self.now} for digest, data in sorted(rows.items())]
            write_rows(self.connection, statement, found)

    def add_events(self, rows: Sequence[dict[str, Any]]) -> list[int]:
        """Insert waiting events; returns their ids in order. Their queues are rung after the commit."""
        if not rows:
            return []
        full = [{**row, "state": "waiting", "lane_rank": LANE_RANK[Lane(row["lane"])]} for row in rows]
        made = {(case_key, revision): number for case_key, revision, number in write_rows(self.connection, _ADD, full)}
        ids = [made[row["case_key"], row["revision"]] for row in full]
        for row, event_id in zip(full, ids, strict=True):
            self.rings.setdefault(queue_name(row["modality"], row["lane"]), []).append(event_id)
            self.counts["events", (row["modality"], row["lane"])] += 1
        return ids

    def set_inputs_through(self, event_id: int, input_id: int) -> None:
        """The event judges the inputs of its case up to this one; later ones belong to the next revision."""
        self.connection.execute(sa.update(events).where(events.c.id == event_id).values(inputs_through=input_id))


_ADD = sa.insert(events).returning(events.c.case_key, events.c.revision, events.c.id)


@cache
def _keep(dialect: str) -> sa.Insert:
    insert = dialect_insert(dialect, contents)
    return insert.on_conflict_do_update(index_elements=["digest"], set_={"kept_at": insert.excluded.kept_at})


def more_urgent(one: str, other: str) -> str:
    """The more urgent of two lanes."""
    return min(one, other, key=lambda lane: LANE_RANK[Lane(lane)])


def promote(commit: Commit, case_key: str, lane: str) -> None:
    """Bring a case, and what waits of it, into a more urgent lane; never into a less urgent one."""
    rank = LANE_RANK[Lane(lane)]
    slower = [one.value for one in Lane if LANE_RANK[one] > rank]
    commit.connection.execute(sa.update(cases).where(cases.c.case_key == case_key, cases.c.lane.in_(slower)).values(lane=lane))
    waiting = (events.c.case_key == case_key) & (events.c.state == "waiting") & (events.c.lane_rank > rank)
    moved = sa.update(events).where(waiting).values(lane=lane, lane_rank=rank).returning(events.c.id, events.c.modality)
    for event_id, modality in commit.connection.execute(moved):
        commit.rings.setdefault(queue_name(modality, lane), []).append(event_id)
