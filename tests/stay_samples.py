"""What the tests of stays do: lay results, move patients, close the window, judge what waits, and look at the rows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from db.accept import accept
from db.claim import claim, fetch
from db.close import Closer
from db.engine import Database
from db.leases import WorkerRow, enlist
from db.save import save
from db.tables import events, predictions
from stream.arrival import AddResults, Arrival, Merge, Move, Receipt, Result
from stream.content import Content, ContentStore
from stream.event import Event, Judged, Model, Predicted
from stream.judgement import Finding, Judgement
from stream.points import decode_points
from stream.window import Window

#: When the stay begins; its window has long ended.
ORIGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def content(text: str) -> Content:
    return Content(digest=text.encode().hex().rjust(64, "0")[-64:], size=len(text), data=text.encode())


def take(database: Database, *arrivals: Arrival) -> list[Receipt]:
    with database.write() as (connection, now):
        return list(accept(connection, now, arrivals, slot="test", window=Window()).receipts)


def sent(name: str, *asks: Any, patient: str = "p", **more: Any) -> Arrival:
    return Arrival(
        feed="hl7", identity=f"hl7:{name}", sender_id=name, content=content(name), patient_key=patient, asks=asks, **more
    )


def moved(kind: str, hours: float, *, intensive: bool | None = True, recorded: float | None = None, **more: Any) -> Move:
    """A movement so many hours after ORIGIN; ``recorded``: likewise, the same unless told otherwise."""
    at, recorded_at = ORIGIN + hours * HOUR, ORIGIN + (hours if recorded is None else recorded) * HOUR
    return Move(kind=kind, stay="visit", at=at, intensive=intensive, recorded_at=recorded_at, **more)


def results(value: float, hours: float = 3, base: str = "b") -> AddResults:
    at = ORIGIN + hours * HOUR
    one = Result(base=base, code="2160-0", value=value, flags=0, observed_at=at, available_at=at, version_at=at)
    return AddResults(results=(one,))


def merged(name: str, other: str = "q", into: str = "p") -> Arrival:
    return sent(name, Merge(other=other), patient=into)


def quiet(database: Database, store: ContentStore) -> None:
    """As if the quiet time had passed: every gathering stay becomes an event."""
    with database.write() as (connection, now):
        Closer(store=store, window=Window(), codes=(), slot="test").close_due(connection, now + timedelta(minutes=2))


def judge(database: Database) -> list[Event]:
    """A worker says something of everything that waits."""
    with database.write() as (connection, now):
        worker_id = enlist(connection, now, WorkerRow(name="w", device="cpu", host="here", pid=1, queues=""))
    batch = claim(database, worker_id)
    keep(database, worker_id, batch)
    return batch


def keep(database: Database, worker_id: int, batch: list[Event]) -> None:
    finding = Finding(label="death", probability=0.4, threshold=0.5, positive=False)
    verdict = Predicted(judgement=Judgement(findings=(finding,)), model=Model(name="m", version="1", digest="d"))
    with database.write() as (connection, now):
        save(connection, now, worker_id, [Judged(event=event, verdict=verdict) for event in batch], device="cpu", slot="test")


def judged_values(database: Database, folder: Path, event: Event) -> list[float]:
    """The values in the window that an event froze."""
    (content_,) = fetch(database, ContentStore(folder), [event])[event.id]
    return [float(np.round(point["value"], 3)) for point in decode_points(content_)]


def statuses(database: Database) -> list[str]:
    """Of every prediction, oldest first."""
    return [row["status"] for row in rows(database, predictions)]


def revisions(database: Database) -> list[int]:
    return [row["revision"] for row in rows(database, events)]


def rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]
