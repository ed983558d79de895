"""Pushes one backlog: lists it, then reads, waits where it must, and commits, until nothing of the manifest is left.

All that it knows stands in the ledger, so that another process goes on where this one ended.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.backlogs import advance, waiting
from db.engine import Database
from db.manifest import add_page, pages, pending
from producers.backlog.commit import Committed, Committer
from producers.backlog.listing import list_all
from producers.backlog.pace import Hours, Rate, Speed, finished_at
from producers.backlog.pool import stays_here
from producers.backlog.unit import Read, Reads, Unit
from stream.errors import DxstreamError, Temporary

log = logging.getLogger(__name__)

#: Bytes of files that are read and committed together, at most.
MOST_BYTES = 16 * 2**20
#: Rows of the manifest that are written, or looked up, at a time.
PAGE = 1000
#: How often what is waited for is looked at, and how often the ledger is told, in seconds.
LOOK_SECONDS, TELL_SECONDS = 0.25, 2.0
#: What was read before a longer wait is read again: content without a row is not kept for ever. Seconds.
STALE_SECONDS = 600.0
#: SQLite has one writer at a time: after a commit it is left to the live feeds for so many times as long as that took.
SHARE = 1.0


Show = Callable[[Mapping[str, Any]], None]


class Stopped(DxstreamError):
    """It was asked to stop; the same command goes on."""


@dataclass
class _Flying:
    """Files that are being read."""

    units: Sequence[Unit]
    reads: "Future[list[Read]]"


class Runner:
    """``show`` is given the backlog's row whenever it may have changed; ``stop`` is set to end early."""

    def __init__(self, row: Mapping[str, Any], committer: Committer, pool: Reads, *, show: Show, stop: threading.Event) -> None:
        self.row = row
        self.committer = committer
        self.pool = pool
        self.show = show
        self.stop = stop
        self.database: Database = committer.database
        self.speed = Speed(time.monotonic)
        self._rate = Rate(time.monotonic)
        self._told_at = 0.0

    def run(self) -> Mapping[str, Any]:
        """To its end; the last row. Raises Stopped, Fatal."""
        if self.row["listed_at"] is None:
            self.list_files()
            self._tell(listed_at=datetime.now(UTC))
        self.speed.start_again()
        while self._push():
            pass
        self._tell(state="done", waits_for="", ended_at=datetime.now(UTC), eta_at=None)
        return self.row

    def list_files(self) -> None:
        """The manifest, a page at a time; what stands in it already is left as it is."""
        for page in pages(list_all(self.row["source"]["paths"]), PAGE):
            self.add(page)

    def add(self, page: Sequence[Mapping[str, Any]], **values: Any) -> None:
        """Write rows of the manifest; ``values``: what the backlog's own row says from now on."""

        def write() -> dict[str, Any]:
            with self.database.write() as (connection, now):
                counts = add_page(connection, now, self.committer.backlog_id, page)
                return advance(connection, self.committer.backlog_id, self.committer.fence, counts, seen_at=now, **values)

        self._show(self._persist(write))
        self._check_stop()

    def _push(self) -> bool:
        """Everything that is pending; True when it must be looked at again, since a wait was long or files were left."""
        groups = self._groups()
        flying: deque[_Flying] = deque()
        any_left = False
        while True:
            while len(flying) < self.pool.ahead and (units := next(groups, None)):
                flying.append(self._send(units))
            if not flying:
                return any_left
            any_left = True
            group = flying.popleft()
            if self._hold(len(group.units)) > STALE_SECONDS:
                return True
            left = self._take(group)
            if left:
                flying.appendleft(self._send(left))

    def _send(self, units: Sequence[Unit]) -> _Flying:
        return _Flying(units, self.pool.submit(units))

    def _take(self, group: _Flying) -> Sequence[Unit]:
        """Commit what was read; the units of which something is left."""
        reads = self._reads(group)
        began = time.monotonic()
        committed: Committed = self._persist(lambda: self.committer.commit(reads, **self._values()))
        self._show(committed.backlog)
        self.speed.add(committed.files)
        if self.database.is_sqlite:
            self.stop.wait(SHARE * (time.monotonic() - began))
        return committed.left

    def _reads(self, group: _Flying) -> list[Read]:
        """What was read, however often it must be tried for want of room."""
        while True:
            try:
                return group.reads.result()
            except BrokenProcessPool:
                return self.pool.read_singly(group.units)
            except Temporary as error:
                log.warning("the backlog waits: %s", error)
                self._wait_a_moment(getattr(error, "waits_for", "disk"))
                group.reads = self.pool.submit(group.units)

    def ask(self, question: Callable[[], Any]) -> Any:
        """Until whoever is asked answers."""
        while True:
            try:
                return question()
            except Temporary as error:
                log.warning("the backlog waits: %s", error)
                self._wait_a_moment(getattr(error, "waits_for", "disk"))

    def _groups(self) -> Iterator[list[Unit]]:
        """Pending files in the manifest's order; in a group all are read in one place, and neither are they many nor large."""
        after = 0
        while True:
            found = self._persist(lambda after=after: self._pending(after))  # type: ignore[misc] # bound now
            if not found:
                return
            after = found[-1].id
            group: list[Unit] = []
            for unit in found:
                if group and (self._full(group) or stays_here(unit) != stays_here(group[0])):
                    yield group
                    group = []
                group.append(unit)
            yield group

    def _full(self, group: Sequence[Unit]) -> bool:
        most = min(self.pool.most, max(1, int(self.row["rate"]))) if self.row["rate"] else self.pool.most
        return len(group) >= most or sum(unit.size for unit in group) >= MOST_BYTES

    def _pending(self, after: int) -> list[Unit]:
        with self.database.read() as connection:
            return [Unit(**row) for row in pending(connection, self.committer.backlog_id, after, PAGE)]

    def _hold(self, files: int) -> float:
        """Until these files may go: it is not paused, the hour is right, the ledger has room, the rate allows it. Seconds."""
        began = time.monotonic()
        while reason := self._persist(self._obstacle):
            self._wait_a_moment(reason)
        self._check_stop()
        self._sleep(self._rate.delay(files, self.row["rate"]))
        return time.monotonic() - began

    def _obstacle(self) -> str:
        if self.row["state"] == "paused":
            return "resume"
        hours = Hours.read(self.row["hours"])
        if hours and not hours.hold(datetime.now().astimezone()):
            return "hours"
        with self.database.read() as connection:
            depth = self.row["depth"]
            return "room" if waiting(connection, self.database.now(connection), depth) >= depth else ""

    def _wait_a_moment(self, reason: str) -> None:
        if self.row["waits_for"] != reason or time.monotonic() - self._told_at > TELL_SECONDS:
            self._tell(waits_for=reason, eta_at=self._eta())
        self._sleep(LOOK_SECONDS)
        if reason != "room":  # which is what its speed comes from
            self.speed.start_again()
        self._check_stop()

    def _sleep(self, seconds: float) -> None:
        """In pieces, so that the ledger hears of it."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._check_stop()
            self.stop.wait(min(left, TELL_SECONDS))
            if left > TELL_SECONDS:
                self._tell()

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise Stopped("stopped; the same command goes on where it was")

    def _tell(self, **values: Any) -> None:
        def tell() -> dict[str, Any]:
            with self.database.write() as (connection, now):
                return advance(connection, self.committer.backlog_id, self.committer.fence, {}, seen_at=now, **values)

        self._show(self._persist(tell))

    def _show(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self._told_at = time.monotonic()
        self.show(row)

    def _values(self) -> dict[str, Any]:
        """What a commit says beside its counts."""
        return {"waits_for": "", "files_per_second": self.speed.per_second, "eta_at": self._eta()}

    def _eta(self) -> datetime | None:
        speed = self.speed.per_second or self.row["files_per_second"]
        left = self.row["files"] - sum(self.row[name] for name in ("taken", "known", "refused", "failed"))
        if not speed:
            return None
        return finished_at(datetime.now().astimezone(), left / speed, Hours.read(self.row["hours"]))

    def _persist(self, do: Callable[[], Any]) -> Any:
        """Until the database is back."""
        while True:
            try:
                return do()
            except Temporary as error:
                log.warning("the backlog waits for the database: %s", error)
                self.stop.wait(1.0)
                self._check_stop()
