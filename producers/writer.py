"""Who writes a group of arrivals in one transaction: the intake itself, or a process beside it (``producers.writer_apart``)."""

from collections.abc import Sequence
from typing import Protocol

from db.accept import Accepted, accept
from db.engine import Database
from stream.arrival import Arrival
from stream.errors import DxstreamError
from stream.window import Window


class NotWritten(DxstreamError):
    """The ledger cannot hold a group. The only argument names the kind of error: its own words may quote what was sent."""


class Writer(Protocol):
    """Used by one thread at a time."""

    def start(self) -> None:
        """Groups will come."""

    def write(self, arrivals: Sequence[Arrival], waited: Sequence[float]) -> Accepted:
        """Commit the group once its files are durable; it is so itself after the next ``Database.sync``.

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
            return accepted

    def close(self) -> None:
        """The database is the intake's."""
