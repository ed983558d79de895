"""A migration beside a worker of the version before: what that writes with the first revision's tables goes in all the while."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from db.claim import claim
from db.engine import Database
from db.leases import WorkerRow, enlist
from db.migrate import revisions, upgrade
from db.report import status
from db.save import save
from stream.errors import Temporary
from stream.event import Judged, Model, Predicted
from stream.judgement import Finding, Judgement

#: Both from the first revision on.
pytestmark = pytest.mark.parametrize("earlier", ["0001"], indirect=True)


class FirstVersion:
    """A process that knows the tables of revision 0001 and no others, and goes on writing."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tables = sa.MetaData()
        with database.read() as connection:
            self.tables.reflect(connection)

    def row(self, table_name: str, connection: sa.Connection, /, **values: object) -> int | None:
        """Insert what that version inserts: every column that it knows to be needed."""
        table = self.tables.tables[table_name]
        needed = [one for one in table.columns if not one.nullable and not one.primary_key and one.name not in values]
        usual = {one.name: {} if isinstance(one.type, sa.JSON) else one.type.python_type() for one in needed}
        key = next(iter(table.primary_key.columns))
        return connection.execute(sa.insert(table).values({**usual, **values}).returning(key)).scalar()

    def accept(self, number: int) -> None:
        """An image and a result, as that version's door wrote them."""
        with self.database.write() as (connection, now):
            moment = now.replace(tzinfo=None) if self.database.is_sqlite else now
            digest = f"{number:064x}"
            self.row("contents", connection, digest=digest, data=b"image")
            times = {"opened_at": moment, "touched_at": moment}
            self.row("cases", connection, case_key=f"sop:{number}", modality="scan", lane="routine", revision=1, **times)
            shown = {"case_key": f"sop:{number}", "revision": 1, "modality": "scan", "lane": "routine", "lane_rank": 1}
            event = self.row("events", connection, **shown, state="waiting", received_at=moment, digest=digest)
            names = {"identity": f"sop:{number}", "sender_id": str(number), "digest": digest, "feed": "dicom"}
            arrived = self.row("inputs", connection, **names, accepted_at=moment, event_id=event, disposition="in_event", size=5)
            times = dict.fromkeys(("observed_at", "available_at", "version_at"), moment)
            self.row("points", connection, identity=str(number), base=str(number), input_id=arrived, **times)
            self.row("refused_points", connection, code="2160-0", reason="unknown unit", input_id=arrived)

    def work(self, number: int) -> None:
        """A lease, and a judgement of the oldest event, as that version's worker wrote them."""
        events, workers = self.tables.tables["events"], self.tables.tables["workers"]
        with self.database.write() as (connection, now):
            moment = now.replace(tzinfo=None) if self.database.is_sqlite else now
            lease = {"started_at": moment, "lease_until": moment + timedelta(seconds=6)}
            worker = self.row("workers", connection, name=f"old-{number}", device="cpu", host="h", pid=1, **lease)
            oldest = connection.execute(sa.select(sa.func.min(events.c.id)).where(events.c.state == "waiting")).scalar()
            connection.execute(sa.update(events).where(events.c.id == oldest).values(state="leased", holder=worker))
        with self.database.write() as (connection, now):
            moment = now.replace(tzinfo=None) if self.database.is_sqlite else now
            done = {"state": "done", "outcome": "predicted", "done_at": moment, "holder": None}
            connection.execute(sa.update(events).where(events.c.id == oldest, events.c.holder == worker).values(done))
            said = {"event_id": oldest, "case_key": f"old:{oldest}", "model": "m", "model_digest": "d", "status": "current"}
            self.row("predictions", connection, **said, created_at=moment)
            connection.execute(sa.update(workers).where(workers.c.id == worker).values(ended_at=moment))


def test_what_the_version_before_writes_goes_in_before_during_and_after_a_migration(earlier: Database):
    old = FirstVersion(earlier)
    stop, wrong = threading.Event(), []
    written = 0

    def go_on() -> None:
        nonlocal written
        try:
            while not stop.is_set() or written < 20:
                old.accept(written)
                old.work(written)
                written += 1
        except (Temporary, sa.exc.SQLAlchemyError) as error:
            wrong.append(repr(error))

    writing = threading.Thread(target=go_on)
    writing.start()
    upgrade(earlier)
    stop.set()
    writing.join()
    assert wrong == []
    here, newest = revisions(earlier)
    assert here == newest != "0001"
    old.accept(10_000)
    with earlier.write() as (connection, now):
        worker_id = enlist(connection, now, WorkerRow(name="new", device="cpu", host="h", pid=2, queues=""))
    (event,) = claim(earlier, worker_id)
    finding = Finding(label="sick", probability=0.9, threshold=0.5, positive=True)
    verdict = Predicted(judgement=Judgement(findings=(finding,)), model=Model(name="m", version="1", digest="d"))
    with earlier.write() as (connection, now):
        assert save(connection, now, worker_id, [Judged(event=event, verdict=verdict)], device="cpu", slot="t") == {event.id}
        assert status(connection, now)["events"]["done"] == written + 1


def test_no_migration_takes_away_or_tightens_what_the_version_before_knows(earlier: Database):
    def columns() -> dict[tuple[str, str], bool]:
        with earlier.read() as connection:
            found = sa.inspect(connection)
            return {(name, one["name"]): one["nullable"] for name in found.get_table_names() for one in found.get_columns(name)}

    before = columns()
    upgrade(earlier)
    after = columns()
    assert {key: after.get(key) for key in before} == before
    needed = {key for key, nullable in after.items() if not nullable and key not in before}
    assert not {table for table, _ in needed} & {table for table, _ in before}
