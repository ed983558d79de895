"""Processes that read files beside the one that commits; a file that ends its process is found out and named."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from db.engine import Database
from producers.backlog.archives import is_tar
from producers.backlog.reading import FileReader, is_fhir
from producers.backlog.unit import Read, Unit
from producers.door import Door
from producers.intake import Intake
from stream.content import ContentStore
from stream.feeds import FeedConfig, FeedsConfig
from stream.identity import Identities
from stream.metrics import Measures
from stream.ring import Bell, RingThread

#: Files that are read and committed together, at most: the ledger is held for a few hundredths of a second.
MOST_FILES = 32
#: Groups that are read ahead, a process.
AHEAD = 3

#: What a process does first, so that it ends with its parent.
Begin = Callable[[], None]


class OpenFeeds(FeedsConfig):
    """The feeds' configuration without their lists of senders: those guard ports, and here somebody has named the files."""

    def feed(self, name: str) -> FeedConfig:
        """As for the feed itself."""
        return replace(super().feed(name), allowed_senders=frozenset())


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What any process needs to read files as this installation's feeds would."""

    database_url: str
    redis_url: str
    content: Path
    config: Path
    hash_key: bytes
    in_place: bool

    def reader(self) -> FileReader:
        """A reader with a door of its own, whose intake never starts; raises BadSettingError."""
        feeds = OpenFeeds(self.config)
        feeds.check()
        ring = RingThread(Bell(self.redis_url))
        door = Door(
            intake=Intake(Database(self.database_url), ring, Measures(), slot=""),
            store=ContentStore(self.content),
            identities=Identities(self.hash_key, feeds.authorities),
            feeds=feeds,
        )
        return FileReader(door, in_place=self.in_place)


_own: list[FileReader] = []  # of a process of the pool


def _begin(setup: Setup, begin: Begin) -> None:
    begin()
    _own.append(setup.reader())


def _read_there(units: Sequence[Unit]) -> list[Read]:
    return [_own[0].read(unit) for unit in units]


def stays_here(unit: Unit) -> bool:
    """FHIR asks the ledger as it reads, and a tar is read from front to back: both stay with the process that commits."""
    return is_fhir(unit.member or unit.path) or bool(unit.member and is_tar(unit.path))


class Pool:
    """``processes`` 0: everything is read in this one."""

    def __init__(self, setup: Setup, *, processes: int, begin: Begin) -> None:
        self.setup = setup
        self.processes = processes
        self._begin = begin
        self.most = MOST_FILES
        self.ahead = AHEAD * max(1, processes)
        self._here = setup.reader()
        self._executor = self._start() if processes else None

    def submit(self, units: Sequence[Unit]) -> "Future[list[Read]]":
        """Read units, all of one kind; the future may raise Temporary, or BrokenProcessPool."""
        if self._executor is not None and not stays_here(units[0]):
            try:
                return self._executor.submit(_read_there, units)
            except BrokenProcessPool as error:
                broken: Future[list[Read]] = Future()
                broken.set_exception(error)
                return broken
        future: Future[list[Read]] = Future()
        try:
            future.set_result([self._here.read(unit) for unit in units])
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future

    def read_singly(self, units: Sequence[Unit]) -> list[Read]:
        """After a process has died: one at a time, so that only the file that ends its process is failed by it."""
        read: list[Read] = []
        for unit in units:
            self._restart()
            try:
                read += self.submit([unit]).result()
            except BrokenProcessPool:
                read.append(Read(unit=unit, state="failed", reason="reading it ended the process"))
        self._restart()
        return read

    def close(self) -> None:
        """End the processes."""
        self._here.close()
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def _restart(self) -> None:
        if self._executor is not None and getattr(self._executor, "_broken", False):
            self._executor.shutdown(cancel_futures=True)
            self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self.setup, self._begin),
        )
