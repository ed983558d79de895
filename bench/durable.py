"""When each event's prediction was durable, seen from outside and with next to no load.

SQLite: a process of its own, so that it shares no interpreter with who submits, asks ``PRAGMA data_version`` every half
millisecond, which costs microseconds, and reads what is new when it has changed; what another connection can see has been
synced. PostgreSQL: the server's own time of the commit that wrote the row (``track_commit_timestamp``), taken when the commit's
record is written, just before it is synced.
"""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from db.engine import Database

LOOK_SECONDS = 0.0005
#: Case key → when (seconds of the monotonic clock). The argument: the wall clock less the monotonic one.
Found = Callable[[float], dict[str, float]]


@contextmanager
def watch(database: Database, name: str) -> Iterator[Found]:
    """Watches events whose case keys begin with ``image:NAME-`` while the block runs; ask once all are done."""
    if not database.is_sqlite:
        yield lambda offset: _by_commit(database, name, offset)
        return
    watcher = _Watcher(str(database.url.database), name)
    watcher.start()
    try:
        yield watcher.found
    finally:
        watcher.stop()


def _by_commit(database: Database, name: str, offset: float) -> dict[str, float]:
    moment = "extract(epoch FROM pg_xact_commit_timestamp(xmin))"
    query = sa.text(f"SELECT case_key, {moment} FROM events WHERE case_key LIKE :key AND state = 'done'")
    with database.read() as connection:
        return {key: float(at) - offset for key, at in connection.execute(query, {"key": f"image:{name}-%"})}


class _Watcher:
    def __init__(self, path: str, name: str) -> None:
        command = [sys.executable, __file__, path, name]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self) -> None:
        """Wait until it watches."""
        assert self._process.stdout
        self._process.stdout.readline()

    def stop(self) -> None:
        """Have it look a last time and end."""
        if self._process.returncode is None:
            self._told, _ = self._process.communicate()

    def found(self, _offset: float) -> dict[str, float]:
        """What it has seen."""
        self.stop()
        return dict(json.loads(self._told))


def main(path: str, name: str) -> None:
    """Watch until standard input ends, then print what was seen."""
    ending = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ending.set()), daemon=True).start()
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM predictions").fetchone()
    seen: dict[str, float] = {}
    version = None
    print("watching", flush=True)
    over = False
    while not over:
        over = ending.is_set()
        (now,) = connection.execute("PRAGMA data_version").fetchone()
        if now != version or over:
            version, at = now, time.monotonic()
            rows = connection.execute("SELECT id, case_key FROM predictions WHERE id > ? ORDER BY id", (last,)).fetchall()
            last = rows[-1][0] if rows else last
            seen.update((key, at) for _, key in rows if key.startswith(f"image:{name}-"))
        time.sleep(LOOK_SECONDS)
    connection.close()
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
