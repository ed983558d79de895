"""What one scrape of ``/metrics`` costs with a million events in the ledger, on SQLite and, where it is installed, PostgreSQL."""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from servers import postgresql_binaries, running_postgresql, running_redis

from db.engine import Database
from db.migrate import upgrade
from db.slots import Slot
from stream.metrics import Measures
from stream.queues import Lane, Modality
from stream.ring import Bell
from worker.exposition import Ledger

#: The numbers 1 to n as a table, in each dialect's words.
NUMBERS = {
    "sqlite": "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {n}) ",
    "postgresql": "WITH g AS (SELECT generate_series(1, {n}) AS n) ",
}
COLUMNS = (
    "case_key, revision, modality, lane, lane_rank, feed, patient_key, state, outcome, reason, stage, attempts, failures, crashes, "
    "suspect, fence, received_at, done_at, facts, digest, inputs_through"
)
VALUES = (
    "'sop:' || n, 1, CASE n % 3 WHEN 0 THEN 'scan' WHEN 1 THEN 'lab' ELSE 'note' END, "
    "CASE n % 10 WHEN 0 THEN 'stat' WHEN 1 THEN 'backlog' ELSE 'routine' END, 1, 'dicom', 'p' || (n % 50000), "
    "CASE WHEN n <= {done} THEN 'done' WHEN n % 50 = 0 THEN 'dead' WHEN n % 20 = 0 THEN 'leased' ELSE 'waiting' END, "
    "CASE WHEN n <= {done} THEN 'predicted' ELSE '' END, '', '', 1, 0, 0, {false}, 1, {now}, {now}, '{{}}', 'd' || n, 0"
)


def fill(database: Database, number: int, unfinished: int) -> None:
    """So many events, the last of them unfinished, written by the database itself."""
    name = database.engine.dialect.name
    now = "'2026-11-20 10:00:00.000000'" if name == "sqlite" else "clock_timestamp()"
    values = VALUES.format(done=number - unfinished, now=now, false="0" if name == "sqlite" else "false")
    if name != "sqlite":
        values = values.replace("'{}'", "'{}'::json")
    insert = f"INSERT INTO events ({COLUMNS}) {NUMBERS[name].format(n=number)} SELECT {values} FROM g"
    if name != "sqlite":
        insert = f"{NUMBERS[name].format(n=number)} INSERT INTO events ({COLUMNS}) SELECT {values} FROM g"
    with database.write() as (connection, _):
        connection.exec_driver_sql(insert.replace("%", "%%") if name != "sqlite" else insert)
    with database.write() as (connection, _):
        connection.exec_driver_sql("ANALYZE")


def fill_slots(database: Database) -> None:
    """The histograms of four processes that have seen every modality, lane and stage."""
    measures = Measures()
    for modality in Modality:
        measures.observe("dxstream_batch_size", 3, modality=modality)
        measures.observe("dxstream_turnaround_seconds", 3, modality=modality)
        for lane in Lane:
            measures.observe("dxstream_latency_seconds", 3, modality=modality, lane=lane)
        for stage in ("accept", "gather", "wait", "fetch", "prepare", "infer", "save"):
            measures.observe("dxstream_stage_seconds", 3, modality=modality, stage=stage)
    with database.write() as (connection, now):
        for name in ("intake", "keeper", "cpu-0", "cpu-1"):
            Slot(connection, name).write(connection, now, measures.samples())


def scrape(database: Database, redis_url: str, times: int) -> tuple[list[float], float]:
    """Seconds of each of so many scrapes, after one that warms up; and seconds of this process's CPU time for one."""
    registry = CollectorRegistry()
    registry.register(Ledger(database, Bell(redis_url)))
    generate_latest(registry)
    taken, cpu = [], time.process_time()
    for _ in range(times):
        began = time.perf_counter()
        page = generate_latest(registry)
        taken.append(time.perf_counter() - began)
    assert b"dxstream_queue_depth" in page
    return sorted(taken), (time.process_time() - cpu) / times


@contextmanager
def databases() -> Iterator[dict[str, str]]:
    """URLs by name."""
    with tempfile.TemporaryDirectory() as folder:
        found = {"SQLite": f"sqlite:///{folder}/dxstream.sqlite"}
        if postgresql_binaries() is None:
            yield found
            return
        with running_postgresql(fsync=True) as url:
            yield found | {"PostgreSQL": url}


def main() -> None:
    """Print a line a database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--unfinished", type=int, default=10_000, help="of them waiting, leased or dead")
    parser.add_argument("--times", type=int, default=30)
    chosen = parser.parse_args()
    with databases() as urls, running_redis() as redis_url:
        for name, url in urls.items():
            database = Database(url)
            upgrade(database)
            fill(database, chosen.events, chosen.unfinished)
            fill_slots(database)
            taken, cpu = scrape(database, redis_url, chosen.times)
            with database.read() as connection:
                number = connection.execute(sa.text("SELECT count(*) FROM events")).scalar_one()
            database.close()
            print(
                f"{name}: {number:,} events, {chosen.unfinished:,} of them unfinished: a scrape takes "
                f"{1000 * statistics.median(taken):.1f} ms (median of {len(taken)}), {1000 * taken[-1]:.1f} ms at the most, "
                f"{1000 * cpu:.1f} ms of the keeper's CPU time; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
            )


if __name__ == "__main__":
    main()
