"""The claim's own statement: served by the index of what waits, however much is done."""

import pytest
import sqlalchemy as sa

from db import claim, rows
from db.engine import Database
from stream.queues import ALL_QUEUES


@pytest.mark.parametrize("queues", [ALL_QUEUES, ("lab.stat", "lab.routine")])
def test_a_claim_looks_at_the_index_of_waiting_events_alone(database: Database, queues: tuple[str, ...]):
    statement = claim._candidates(queues, locked=False)
    with database.read() as connection:
        text, steps, _ = rows._query(connection.dialect, statement, ())
        values = [process({"now": database.now(connection), "most": 256}.get(name)) for name, _, process in steps]
        if database.is_sqlite:
            found = connection.connection.driver_connection.execute("EXPLAIN QUERY PLAN " + text, values).fetchall()
        else:
            connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
            found = connection.connection.driver_connection.execute("EXPLAIN " + text, values).fetchall()
    plan = " ".join(str(row) for row in found)
    assert "ix_events_waiting" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
