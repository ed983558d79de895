"""What a worker asks of the ledger: claim, find, save, hand back; each is tried until the database, or the disk, is back."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa

from db.claim import Found, claim, claim_within, find, is_full
from db.engine import Database
from db.leases import set_stage
from db.save import hand_back, save
from stream.content import ContentStore
from stream.errors import Temporary
from stream.event import Event, Judged
from stream.queues import Lane, queue_name
from stream.ring import Bell
from worker.stages import Stages

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Between two tries to reach a database that is away, in seconds.
RETRY_SECONDS = 0.5
#: A ring wakes an idle worker, which rings on, or lies there for the next one: after its first full batch a worker rings as rarely
#: as this, in seconds, in case Redis has lost it.
RING_SECONDS = 1.0

#: Which events were saved (others have them by now), and when by the database's clock.
Saved = tuple[set[int], datetime]


@dataclass(kw_only=True)
class Held:
    """The ledger's side of one worker. Whatever gives None was given up because the worker was asked to stop.

    ``explained``: digests of the models whose predictions are put on the list of what is to be explained; ``unsure``: whether a
    claim may have been committed without our knowing; ``unread``: what could not be read.
    """

    database: Database
    store: ContentStore
    worker_id: int
    device: str
    slot: str
    queues: Sequence[str]
    bell: Bell
    stages: Stages
    stopping: Callable[[], bool]
    explained: Callable[[], Collection[str]]
    unsure: bool = False
    unread: Sequence[Found] = ()
    _ring_at: float = field(default=0.0, init=False)

    def claim(self, *, behind: str | None = None, rung: bool = False) -> Sequence[Event]:
        """The next batch's events; none where nothing waits. ``rung``: whether it is the first since this worker was."""
        if rung:
            self._ring_at = 0.0
        return self.persist("claim", lambda: self._claim(self.queues, behind, rung=rung)) or ()

    def claim_stat(self) -> Sequence[Event]:
        """What came as stat since a batch was claimed that is not judged yet; suspects wait until nothing else is in hand."""
        queues = [name for name in self.queues if name.endswith(f".{Lane.STAT}")]
        return (self.persist("claim", lambda: self._claim(queues, Lane.STAT, rung=False)) if queues else None) or ()

    def save(self, judged: Sequence[Judged]) -> Saved | None:
        """What was judged, under its fences."""
        return self.persist("save", lambda: self._save(judged))

    def save_and_claim(self, judged: Sequence[Judged], behind: str) -> tuple[Saved, Sequence[Event]] | None:
        """Both in one transaction."""
        return self.persist("save", lambda: self._save_and_claim(judged, behind))

    def take_up(self, claimed: Sequence[Event]) -> None:
        """Before anything of these is touched.

        Where more may wait than this worker took (behind suspects, the others) the next idle one is to hear of it. And a claim
        does not wait for the disk, but that of suspects must be durable, else a machine that they bring down would forget that
        they were tried: the commit that tells their stage takes it along.
        """
        suspect = any(event.suspect for event in claimed)
        if suspect or (is_full(claimed) and time.monotonic() >= self._ring_at):
            self._ring_at = time.monotonic() + RING_SECONDS
            self.bell.ring(queue_name(claimed[-1].modality, claimed[-1].lane), [])
        if suspect:
            self.persist("fetch", lambda: self._set_stage("fetch"))

    def find(self, claimed: Sequence[Event]) -> Mapping[int, Found] | None:
        """Where the bytes of these are."""
        return self.persist("fetch", lambda: find(self.database, self.store, claimed))

    def give_back(self, events: Sequence[Event]) -> None:
        """Let others judge these."""
        if events:
            self.persist("save", lambda: self._hand_back(events))

    def leave_to_others(self, events: Sequence[Event], found: Sequence[Found]) -> None:
        """Hand back what cannot be read here: it may be that only this worker's content store is away."""
        self.unread = found
        self.give_back(events)

    def await_store(self) -> None:
        """Nothing more is claimed before what could not be read can be."""
        unread, self.unread = self.unread, ()
        if unread:
            self.persist("fetch", lambda: _read_all(unread))

    def release_strays(self) -> None:
        """A claim whose answer was lost with the database may have been committed: nobody would ever judge what it leased.

        Called when this worker has nothing in hand; so all that the ledger says it holds are strays.
        """
        if self.unsure and self.persist("claim", self._hand_back) is not None:
            self.unsure = False

    def tell_stage(self, batch: Sequence[Event], stage: str) -> None:
        """Before each stage of one that is alone say so in the ledger: if the process dies now, this is where."""
        if any(event.alone for event in batch):
            self.persist(stage, lambda: self._set_stage(stage))

    def persist(self, stage: str, do: Callable[[], T]) -> T | None:
        """Try until the database, or the disk, is back.

        Each try has a deadline of its own: one that hangs ends the process, an outage, however long, does not.
        """
        while True:
            with self.stages.at(stage):
                try:
                    return do()
                except Temporary as error:
                    log.warning("waiting: %s", error)
                if self.stopping():
                    return None
                time.sleep(RETRY_SECONDS)

    def _claim(self, queues: Sequence[str], behind: str | None, *, rung: bool) -> list[Event]:
        with self._in_doubt():
            return claim(self.database, self.worker_id, queues=queues, behind=behind, rung=rung)

    def _save(self, judged: Sequence[Judged]) -> Saved:
        with self.database.write() as (connection, now):
            return self._save_within(connection, now, judged), now

    def _save_and_claim(self, judged: Sequence[Judged], behind: str) -> tuple[Saved, list[Event]]:
        with self._in_doubt(), self.database.write() as (connection, now):
            ids = self._save_within(connection, now, judged)
            return (ids, now), claim_within(connection, now, self.worker_id, queues=self.queues, behind=behind)

    def _save_within(self, connection: sa.Connection, now: datetime, judged: Sequence[Judged]) -> set[int]:
        return save(connection, now, self.worker_id, judged, device=self.device, slot=self.slot, explained=self.explained())

    @contextmanager
    def _in_doubt(self) -> Iterator[None]:
        """A claim that failed may have been committed all the same."""
        try:
            yield
        except Temporary:
            self.unsure = True
            raise

    def _hand_back(self, events: Sequence[Event] | None = None) -> int:
        with self.database.write() as (connection, _):
            return hand_back(connection, self.worker_id, events)

    def _set_stage(self, stage: str) -> None:
        with self.database.write() as (connection, _):
            set_stage(connection, self.worker_id, stage)


def _read_all(unread: Sequence[Found]) -> None:
    """One after the other; raises Temporary where one cannot be read now."""
    for found in unread:
        found.read()
