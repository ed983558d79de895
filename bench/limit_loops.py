"""The bare loops as a design: one process a core that share a pipe, out of which each takes what has come."""

import fcntl
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import psycopg
from design import PROCESSES, Drained
from limit import TABLES
from pacing import wait_until
from processes import cpu_seconds, database_processes

HERE = Path(__file__).parent
#: Room for the numbers of 200,000 files, in bytes.
PIPE_BYTES = 2**20


class Limit:
    """Processes that are ready. ``server``: those of the database, whose time counts too."""

    def __init__(self, paths: Sequence[Path], loops: Sequence[subprocess.Popen[str]], way_in: int, server: Sequence[int]) -> None:
        self.place = {path: number for number, path in enumerate(paths)}
        self.loops, self.way_in, self.server = loops, way_in, server
        self.roots = [*server, *(loop.pid for loop in loops)]

    def drain(self, paths: Sequence[Path]) -> Drained:
        """Write all numbers at once, then read the reports."""
        places = np.array([self.place[path] for path in paths], np.uint32)
        before, began = cpu_seconds(self.roots), time.monotonic()
        os.write(self.way_in, places.tobytes())
        ended = max(self._durable(len(paths)).values())
        return Drained(number=len(paths), seconds=ended - began, cpu_seconds=cpu_seconds(self.roots) - before)

    def feed(self, paths: Sequence[Path], moments: Sequence[float]) -> list[float]:
        """Write each number at its moment. No file is fed twice."""
        began = time.monotonic()
        for path, moment in zip(paths, moments, strict=True):
            wait_until(began + moment)
            os.write(self.way_in, self.place[path].to_bytes(4, "little"))
        durable = self._durable(len(paths))
        return [durable[self.place[path]] - began - moment for path, moment in zip(paths, moments, strict=True)]

    def _durable(self, number: int) -> dict[int, float]:
        """Reads reports until so many are through: place of the file → when it was durable."""
        found: dict[int, float] = {}
        for line in self.loops[0].stdout:
            places, ended, _ = json.loads(line)
            found.update(dict.fromkeys(places, ended))
            if len(found) == number:
                break
        return found


@contextmanager
def started(kind: str, paths: Sequence[Path], url: str, folder: Path) -> Iterator[Limit]:
    """The loops, warm; they end with the pipe."""
    listed = folder / f"{kind}.list"
    listed.write_text("\n".join(map(str, paths)))
    database = url.removeprefix("sqlite:///").replace("+psycopg", "")
    _make_tables(database)
    numbers, way_in = os.pipe()
    reports, way_out = os.pipe()
    fcntl.fcntl(way_in, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    loops = [
        subprocess.Popen(
            [sys.executable, HERE / "limit.py", kind, listed, database, str(part)],
            stdin=numbers, stdout=way_out, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for part in range(1, PROCESSES + 1)
    ]  # fmt: skip
    os.close(numbers)
    os.close(way_out)
    out = os.fdopen(reports)
    for loop in loops:
        loop.stdout = out  # both write their lines into one pipe
    for _ in loops:
        line = out.readline()
        if line != "ready\n":
            raise RuntimeError(f"a bare loop said {line!r}")
    try:
        yield Limit(paths, loops, way_in, database_processes(url))
    finally:
        os.close(way_in)
        for loop in loops:
            loop.wait()
        out.close()


def _make_tables(database: str) -> None:
    if database.endswith(".sqlite"):
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # once: two loops that ask at the same moment stand in each other's way
            connection.executescript(";".join(TABLES))
        return
    with psycopg.connect(database) as connection:
        for text in TABLES:
            connection.execute(text)
