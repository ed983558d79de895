"""The statements of a batch: served by indexes, however much waits or is done, and however little PostgreSQL expects."""

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa
from servers import fresh_postgresql

from db import change, claim, rows
from db.engine import FOR_WORKERS, Database
from db.migrate import upgrade
from db.tables import events
from stream.queues import ALL_QUEUES


def plan(database: Database, queues: tuple[str, ...]) -> str:
    statement = claim._candidates(queues, locked=False)
    with database.read() as connection:
        text, steps, _ = rows._query(connection.dialect, statement, ())
        values = [process({"now": database.now(connection), "most": 256}.get(name)) for name, _, process in steps]
        asked = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        found = connection.connection.driver_connection.execute(asked + text, values).fetchall()  # type: ignore[union-attr]
    return " ".join(str(row) for row in found)


@pytest.mark.parametrize("queues", [ALL_QUEUES, ("lab.stat", "lab.routine")])
def test_a_claim_on_sqlite_looks_at_the_index_of_waiting_events_alone(sqlite: Database, queues: tuple[str, ...]):
    told = plan(sqlite, queues)
    assert "ix_events_waiting" in told
    assert "TEMP B-TREE" not in told


_ADD = sa.text(
    "INSERT INTO events (case_key, revision, modality, lane, lane_rank, state, received_at, facts, attempts, failures, crashes,"
    " suspect, fence, inputs_through, feed, patient_key, outcome, reason, stage, digest)"
    " SELECT n, 1, 'lab', 'routine', 1, 'waiting', now(), '{}', 0, 0, 0, false, 0, 0, '', '', '', '', '', ''"
    " FROM generate_series(1, :number) n"
)


@pytest.fixture
def behind_the_times(postgresql_url: str) -> Iterator[Database]:
    """A worker's PostgreSQL with 3,000 waiting events, that has not looked yet how many there are."""
    url = fresh_postgresql(postgresql_url, f"plan_{uuid.uuid4().hex}")
    with closing(Database(url, FOR_WORKERS)) as database:
        upgrade(database)
        with database.write() as (connection, _):
            connection.exec_driver_sql("ALTER TABLE events SET (autovacuum_enabled = off)")
            connection.execute(_ADD, {"number": 3000})
        yield database


@pytest.mark.parametrize("queues", [ALL_QUEUES, ("lab.stat", "lab.routine")], ids=["all", "some"])
def test_a_claim_on_postgresql_sorts_nothing_though_more_waits_than_it_expects(behind_the_times: Database, queues: tuple[str, ...]):
    told = plan(behind_the_times, queues)
    assert "ix_events_waiting" in told
    assert "Sort" not in told


def test_a_batch_on_postgresql_is_changed_by_its_ids_alone(behind_the_times: Database):
    with behind_the_times.read() as connection:
        text = change._with_lists(connection.dialect, events, ("id", "state"), ("id",))
        driver = connection.connection.driver_connection
        assert driver
        told = driver.execute("EXPLAIN " + text, ("leased", list(range(1, 257)))).fetchall()
    assert "Index Scan using pk_events" in str(told)
    assert "Seq Scan" not in str(told)
