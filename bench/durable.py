"""When each event's prediction was durable, seen from outside and with next to no load.

SQLite: a thread asks ``PRAGMA data_version`` every half millisecond, which costs microseconds, and reads what is new when it has
changed; what another connection can see has been synced. PostgreSQL: the server's own time of the commit that wrote the row
(``track_commit_timestamp``), taken when the commit's record is written, just before it is synced.
"""

import sqlite3
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
        self._path, self._name = path, name
        self._seen: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def found(self, _offset: float) -> dict[str, float]:
        """Look a last time, then tell."""
        self.stop()
        return self._seen

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM predictions").fetchone()
        version = None
        ending = False
        while not ending:
            ending = self._stop.is_set()
            (now,) = connection.execute("PRAGMA data_version").fetchone()
            if now != version or ending:
                version, at = now, time.monotonic()
                rows = connection.execute("SELECT id, case_key FROM predictions WHERE id > ? ORDER BY id", (last,)).fetchall()
                last = rows[-1][0] if rows else last
                self._seen.update((key, at) for _, key in rows if key.startswith(f"image:{self._name}-"))
            time.sleep(LOOK_SECONDS)
        connection.close()
