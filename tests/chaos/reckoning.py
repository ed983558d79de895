"""The senders' book and the ledger, line by line."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from installation import Installation

from db.tables import cases, events, inputs, predictions
from db.tally import read_tallies
from dxstream.hospital.book import ACKNOWLEDGED, Book, Entry

Row = Mapping[str, Any]
DISPOSITIONS = {"in_event", "timeline", "not_used"}


@dataclass(frozen=True, kw_only=True)
class Reckoning:
    """``lost``: acknowledged and not there, or there and not ended. ``doubled``: there or said more than once. In words."""

    lost: list[str]
    doubled: list[str]
    acknowledged: int
    events: int
    dead: list[Row]

    @property
    def agrees(self) -> bool:
        return not self.lost and not self.doubled


def reckon(one: Installation, book: Book) -> Reckoning:
    """Everything at one moment; call it once all has settled."""
    found = one.read(lambda connection: {table.name: _rows(connection, table) for table in (inputs, cases, events, predictions)})
    told = one.read(read_tallies)
    entries = [entry for entry in book.entries() if entry.outcome == ACKNOWLEDGED]
    refused = [entry for entry in book.entries() if entry.outcome != ACKNOWLEDGED]
    return Reckoning(
        lost=[*_refused(refused), *_inputs_lost(entries, found["inputs"]), *_unfinished(found), *_unsaid(found)],
        doubled=[
            *_inputs_doubled(entries, found["inputs"]),
            *_events_doubled(found),
            *_said_twice(found),
            *_miscounted(found, told),
        ],
        acknowledged=len({entry.sender_id for entry in entries}),
        events=len(found["events"]),
        dead=[row for row in found["events"] if row["state"] == "dead"],
    )


def _rows(connection: sa.Connection, table: sa.Table) -> list[Row]:
    columns = [column for column in table.c if column.name not in ("facts", "details")]
    return [dict(row) for row in connection.execute(sa.select(*columns).order_by(table.c.id)).mappings()]


def _refused(entries: Iterable[Entry]) -> Iterator[str]:
    yield from (f"{entry.protocol} {entry.sender_id}: {entry.answer}, though it is sound" for entry in entries)


def _inputs_lost(entries: Iterable[Entry], rows: list[Row]) -> Iterator[str]:
    there = {row["sender_id"]: row for row in rows}
    for entry in entries:
        row = there.get(entry.sender_id)
        if row is None:
            yield f"{entry.protocol} {entry.sender_id}: answered {entry.answer}, but there is no input"
        elif row["disposition"] not in DISPOSITIONS:
            yield f"{entry.protocol} {entry.sender_id}: {row['disposition'] or 'no disposition'}"
        elif row["disposition"] == "in_event" and row["event_id"] is None:
            yield f"{entry.protocol} {entry.sender_id}: in no event"


def _inputs_doubled(entries: Iterable[Entry], rows: list[Row]) -> Iterator[str]:
    counted = Counter(row["sender_id"] for row in rows)
    yield from (f"{name}: {times} inputs" for name, times in counted.items() if times > 1)
    yield from (f"{name}: an input that nobody has sent to its end" for name in counted.keys() - {one.sender_id for one in entries})


def _unfinished(found: Mapping[str, list[Row]]) -> Iterator[str]:
    for row in found["events"]:
        if row["state"] not in ("done", "dead"):
            yield f"event {row['id']} is {row['state']}"
        if row["state"] == "dead" and not (row["reason"] and row["stage"]):
            yield f"event {row['id']} is dead without a reason and a stage"
    yield from (f"case {row['case_key']} still gathers" for row in found["cases"] if row["close_at"] is not None)


def _unsaid(found: Mapping[str, list[Row]]) -> Iterator[str]:
    """Every event that is done as ``predicted`` has its prediction, and the latest such revision of a case has the current one."""
    said = {row["event_id"]: row for row in found["predictions"]}
    last: dict[str, Row] = {}
    for row in found["events"]:
        if row["state"] == "done" and row["outcome"] == "predicted":
            last[row["case_key"]] = max(row, last.get(row["case_key"], row), key=lambda one: one["revision"])
            if row["id"] not in said:
                yield f"event {row['id']} is predicted without a prediction"
    for row in last.values():
        if row["id"] in said and said[row["id"]]["status"] != "current":
            yield f"event {row['id']}: the last word of its case is {said[row['id']]['status']}"


def _events_doubled(found: Mapping[str, list[Row]]) -> Iterator[str]:
    """An image by itself is one event; no revision is judged twice."""
    images = Counter(row["case_key"] for row in found["events"] if row["case_key"].startswith("image:"))
    yield from (f"{key}: {times} events" for key, times in images.items() if times > 1)
    revisions = Counter((row["case_key"], row["revision"]) for row in found["events"])
    yield from (f"{key}: revision {revision} {times} times" for (key, revision), times in revisions.items() if times > 1)


def _said_twice(found: Mapping[str, list[Row]]) -> Iterator[str]:
    twice = Counter((row["event_id"], row["model_digest"]) for row in found["predictions"])
    yield from (f"event {event}: {times} predictions of one model" for (event, _), times in twice.items() if times > 1)
    current = Counter((row["case_key"], row["model"]) for row in found["predictions"] if row["status"] == "current")
    yield from (f"{case}: {times} current predictions" for (case, _), times in current.items() if times > 1)
    dead = {row["id"] for row in found["events"] if row["state"] != "done"}
    yield from (
        f"event {row['event_id']}: a prediction, though it is not done" for row in found["predictions"] if row["event_id"] in dead
    )


def _miscounted(found: Mapping[str, list[Row]], told: Mapping[str, Mapping[tuple[str, ...], int]]) -> Iterator[str]:
    """The counters of ``/metrics`` against the rows."""
    for metric, rows, names in (
        ("inputs", found["inputs"], ("feed", "disposition")),
        ("events_done", [row for row in found["events"] if row["state"] == "done"], ("modality", "lane", "outcome")),
        ("events", found["events"], ("modality", "lane")),
    ):
        counted: defaultdict[tuple[str, ...], int] = defaultdict(int)
        for row in rows:
            counted[tuple(row[name] for name in names)] += 1
        said = {labels: number for labels, number in told.get(metric, {}).items() if number}
        if said != dict(counted):
            yield f"the tally of {metric} says {said}, the rows {dict(counted)}"
