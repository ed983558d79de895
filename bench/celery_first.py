"""Celery as first written as a design: a prefork worker with a process a core, and a queue filled while it does not listen."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from celery import Celery
from design import PROCESSES, Drained
from processes import cpu_seconds, database_processes, redis_process

HERE = Path(__file__).parent
#: Seconds without an answer before we give up.
PATIENCE = 120.0
#: A drain takes about so long, in seconds, however slow it is.
SECONDS = 10.0
#: No drain takes longer: two threads in each of two processes may come to a tenth of the rate of a moment ago.
LONGEST = 4 * SECONDS
#: More than a child may hold, so that each has loaded the model.
WARM_UP = 8 * PROCESSES


class CeleryFirst:
    """A worker that listens."""

    def __init__(self, app: Celery, kind: str, url: str, roots: Sequence[int]) -> None:
        self.app, self.kind, self.roots = app, kind, roots
        self.most = WARM_UP  # events of one drain, so that it takes no longer than ``SECONDS``
        self.engine = sa.create_engine(url)

    def drain(self, paths: Sequence[Path]) -> Drained:
        """Fill the queue while nobody listens, then let the worker listen; what it has not judged by the end is taken away."""
        self._deaf()
        there = self.written()
        for path in paths:
            self.app.send_task("judge", args=[self.kind, str(path)])
        before, began = cpu_seconds(self.roots), time.monotonic()
        self.app.control.add_consumer("celery")
        judged = self.wait(there + len(paths), LONGEST) - there
        drained = Drained(number=judged, seconds=time.monotonic() - began, cpu_seconds=cpu_seconds(self.roots) - before)
        if judged < len(paths):
            self._forget()
        return drained

    def _deaf(self) -> None:
        self.app.control.cancel_consumer("celery", reply=True, timeout=2)

    def _forget(self) -> None:
        """Empty the queue, and wait for the tasks that the worker holds already."""
        self._deaf()
        self.app.control.purge()
        told = self.app.control.inspect(timeout=2)
        while any(held is None or any(held.values()) for held in (told.active(), told.reserved())):
            time.sleep(0.5)

    def written(self) -> int:
        """Rows of predictions."""
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM predictions").scalar_one())

    def wait(self, number: int, longest: float = float("inf")) -> int:
        """Rows, once so many are there or ``longest`` seconds are over; raises TimeoutError when nothing moves."""
        began = moved = time.monotonic()
        last = -1
        while (there := self.written()) < number and time.monotonic() - began < longest:
            if there != last:
                last, moved = there, time.monotonic()
            if time.monotonic() - moved > PATIENCE:
                raise TimeoutError(f"Celery has judged {there} of {number}")
            time.sleep(0.01)
        return there


@contextmanager
def started(kind: str, warm: Path, url: str, redis_url: str, log: Path) -> Iterator[CeleryFirst]:
    """A warm worker; it ends with the block."""
    os.environ |= {"BENCH_REDIS": redis_url, "BENCH_DATABASE": url}
    from celery_app import app, tables  # noqa: PLC0415 - it reads the environment

    engine = sa.create_engine(url)
    if url.startswith("sqlite"):
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    tables.create_all(engine)
    engine.dispose()
    app.conf.broker_url = redis_url
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "prefork", "-c", str(PROCESSES)]
    with log.open("ab") as output:
        worker = subprocess.Popen([*command, "--loglevel", "WARNING"], cwd=HERE, stdout=output, stderr=output)
    first = CeleryFirst(app, kind, url, [worker.pid, redis_process(redis_url), *database_processes(url)])
    try:
        for _ in range(WARM_UP):
            app.send_task("judge", args=[kind, str(warm)])
        first.wait(WARM_UP)
        first.most = max(round(first.drain([warm] * WARM_UP).per_second * SECONDS), WARM_UP)
        yield first
    finally:
        worker.terminate()
        worker.wait()
        first.engine.dispose()
        app.close()
