"""Who writes a group of arrivals in one transaction: the intake itself, or a process beside it (``producers.writer_apart``)."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from db.accept import Accepted, accept
from db.engine import Database
from stream.arrival import Arrival
from stream.errors import DxstreamError
from stream.window import Window

#: After two commits in a row that waited longer for the disk, in seconds, the next groups do not wait: where the disk is fast, the
#: thread that waits for it instead costs more than it saves (docs/decisions/0031). One alone brings the log into the file.
SLOW_COMMIT = 0.002
#: So many groups; then one waits again, to see how fast the disk is.
UNSYNCED_GROUPS = 15


class NotWritten(DxstreamError):
    """The ledger cannot hold a group. The only argument names the kind of error: its own words may quote what was sent."""


class Writer(Protocol):
    """Used by one thread at a time."""

    def start(self) -> None:
        """Groups will come."""

    def write(self, arrivals: Sequence[Arrival], waited: Sequence[float]) -> Accepted:
        """Commit the group once its files are durable; ``Accepted.durable`` says whether it is so itself.

        Whatever is raised, nothing of the group was kept, as far as is known.
        ``waited``: seconds since each arrival was submitted. Raises Temporary where the same group may be taken later.
        """

    def close(self) -> None:
        """No more groups come."""


class WriteHere:
    """Writes on the thread that asks. ``slot`` names the process in the tallies."""

    def __init__(self, database: Database, *, slot: str, window: Window) -> None:
        self._database, self._slot, self._window = database, slot, window

    def start(self) -> None:
        """There is nothing to start."""

    def write(self, arrivals: Sequence[Arrival], waited: Sequence[float]) -> Accepted:
        """See ``Writer``."""
        with self._database.write_unsynced() as (connection, now):
            accepted = accept(connection, now, arrivals, slot=self._slot, window=self._window, waited=waited)
            for arrival in arrivals:
                arrival.content.wait()  # files are written while the rows are: durable before they are committed
        return replace(accepted, durable=not self._database.is_sqlite)

    def close(self) -> None:
        """The database is the intake's."""


class Commits:
    """Transactions that wait for the disk where it is fast, and leave that to ``Database.sync`` where it is slow.

    ``durable``: whether the last one waited.
    """

    def __init__(self, database: Database) -> None:
        self.durable = True
        self._database = database
        self._slow = 0  # commits in a row
        self._unsynced_left = 0

    @contextmanager
    def begin(self) -> Iterator[tuple[sa.Connection, datetime]]:
        """As ``Database.write``."""
        self.durable = not (self._unsynced_left and self._database.is_sqlite)
        with self._database.write() if self.durable else self._database.write_unsynced() as opened:
            yield opened
            began = time.perf_counter()
        if not self.durable:
            self._unsynced_left -= 1
            return
        self._slow = self._slow + 1 if time.perf_counter() - began > SLOW_COMMIT else 0
        self._unsynced_left = UNSYNCED_GROUPS if self._slow > 1 else 0
