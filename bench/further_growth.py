"""Growth: what claim and save cost while more and more done events stand in the ledger, and the plans of their statements."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from further_cost import spent
from inputs import FACTS, make_inputs
from instant import one_worker

from db.accept import accept
from db.engine import Database
from stream.arrival import Arrival, JudgeNow
from stream.window import Window
from worker.diagnose import Diagnosis

#: Events that are judged at each size; their cost is what is told.
PROBE = 2560
#: Copies of a done event with all that belongs to it, one statement a table.
_TABLES = ("cases", "inputs", "events", "predictions", "findings")


def measure(place: Any, sizes: Sequence[int]) -> dict[str, Any]:
    """Milliseconds of processor time an event, claim to save, with so many done ones there already."""
    diagnosis = one_worker(place, "growth")
    database, store = diagnosis.database, diagnosis.store
    contents = [store.begin(content) for content in make_inputs("lab", 200)]
    _judge(database, diagnosis, contents, "first")
    found: dict[str, Any] = {}
    for size in sizes:
        _grow(database, size)
        cost = min(_judge(database, diagnosis, contents, f"{size}-{again}") for again in range(3))
        found[f"{size}_cpu_ms_per_event"] = round(1000 * cost, 4)
    figures = list(found.values())
    found["largest_over_smallest"] = round(figures[-1] / figures[0], 3)
    diagnosis.close()
    database.close()
    return found


def _judge(database: Database, diagnosis: Diagnosis, contents: Sequence[Any], name: str) -> float:
    """Processor seconds an event from the first claim to the last save."""
    arrivals = [
        Arrival(
            feed="bench", identity=f"{name}:{number}", sender_id="", content=contents[number % len(contents)],
            asks=(JudgeNow(case_key=f"image:{name}-{number}", modality="lab", facts=FACTS["lab"]),),
        )
        for number in range(PROBE)
    ]  # fmt: skip
    with database.write() as (connection, now):
        accept(connection, now, arrivals, slot="growth", window=Window())
    began = spent(database)
    diagnosis.run()
    return (spent(database) - began) / PROBE


def _grow(database: Database, size: int) -> None:
    """Copies what is done until there are so many done events; PostgreSQL looks at the tables as its autovacuum would."""
    with database.write() as (connection, _):
        (last,) = connection.exec_driver_sql("SELECT max(id) FROM events").one()
        there = connection.exec_driver_sql("SELECT count(*) FROM events").scalar_one()
        while there < size:
            step = min(there, size - there)
            for table in _TABLES:
                _copy(connection, table, last, step)
            there, last = there + step, last + step
    if not database.is_sqlite:
        engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
        engine.dispose()


def _copy(connection: sa.Connection, table: str, last: int, step: int) -> None:
    """Rows whose number is ``last`` - ``step`` + 1 to ``last``, again with ``step`` added to each number and another key."""
    columns = [column["name"] for column in sa.inspect(connection).get_columns(table)]
    moved = {"id": f"id + {step}", "event_id": f"event_id + {step}", "prediction_id": f"prediction_id + {step}"}
    moved |= {name: f"{name} || '+{step}'" for name in ("case_key", "identity")}
    number = "prediction_id" if table == "findings" else "id"
    picked = ", ".join(moved.get(name, name) for name in columns)
    chosen = f"SELECT {picked} FROM {table} WHERE {number} > {last - step} AND {number} <= {last}"
    connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(columns)}) {chosen}")
    if connection.dialect.name == "postgresql" and table != "findings":
        connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
