"""The heartbeat: renews the lease, keeps the histograms, and ends the process when it hangs or has lost its lease.

It runs on a thread of its own and ends the process without ceremony: nothing that the other threads do may stop it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from db.engine import Database
from db.leases import BEAT_SECONDS, end_worker, renew
from db.slots import Slot
from db.tables import events
from stream.content import ContentStore
from stream.errors import Fatal, Temporary
from stream.metrics import Measures
from stream.rounds import one_round
from worker.stages import Stages

log = logging.getLogger(__name__)

EXIT_HUNG = 70
EXIT_LEASE_LOST = 71
EXIT_DEAF = 72
EXIT_UNEXPECTED = 73

#: A content store that needs longer to write and read a few bytes hangs, in seconds; within a lease, between two beats.
ANSWER_SECONDS = 2.0

#: Work that is ready for so long while this worker is idle: it no longer hears its queues.
DEAF_AFTER = timedelta(seconds=15)


@dataclass(kw_only=True)
class Heartbeat:
    """One thread a worker. ``leave`` ends the process at once; tests put something milder there."""

    database: Database
    worker_id: int
    slot: str
    stages: Stages
    measures: Measures
    queues: Sequence[str]
    store: ContentStore
    leave: Callable[[int], None] = os._exit

    def __post_init__(self) -> None:
        """Nothing runs before ``start``."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._idle_since = time.monotonic()
        with self.database.read() as connection:
            self._slot = Slot(connection, self.slot)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Beat a last time and end."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            self._check_stages()
            with one_round("the heartbeat"):
                self._beat()
        self._beat()

    def _check_stages(self) -> None:
        stage = self.stages.overdue()
        if stage:
            log.error("the stage %s has passed its deadline; this process ends", stage)
            try:
                if stage == "fetch" and not self._store_answers():
                    self._hand_back()
            finally:
                self.leave(EXIT_HUNG)

    def _store_answers(self) -> bool:
        """Where it does, one file alone hangs, and its event is found out as any other that ends its worker."""
        told: list[bool] = []
        asking = threading.Thread(target=lambda: told.append(self.store.answers()), name="asking", daemon=True)
        asking.start()
        asking.join(ANSWER_SECONDS)
        return told == [True]

    def _hand_back(self) -> None:
        """A content store that hangs is no event's doing: nothing that this worker holds becomes a suspect."""
        try:
            with self.database.write() as (connection, now):
                end_worker(connection, now, self.worker_id, crashed=False)
        except Temporary as error:
            log.warning("the leases run out by themselves: %s", error)

    def _beat(self) -> None:
        try:
            with self.database.write(durable=False) as (connection, now):
                renew(connection, now, self.worker_id, stage=self.stages.current())
                self._slot.write(connection, now, self.measures.samples())
            self._listen()
        except Fatal as error:
            log.error("%s; this process ends", error)  # noqa: TRY400 - there is no trace worth keeping
            self.leave(EXIT_LEASE_LOST)
        except Temporary as error:
            log.warning("no heartbeat: %s", error)

    def _listen(self) -> None:
        """An idle worker whose queues have had work for a while has gone deaf, whatever its connection says."""
        if self.stages.current():
            self._idle_since = time.monotonic()
        if time.monotonic() - self._idle_since < DEAF_AFTER.total_seconds():
            return
        with self.database.read() as connection:
            long_ago = self.database.now(connection) - DEAF_AFTER
            mine = sa.or_(
                *[(events.c.modality == name.split(".")[0]) & (events.c.lane == name.split(".")[1]) for name in self.queues]
            )
            ready = (events.c.state == "waiting") & (sa.func.coalesce(events.c.not_before, events.c.received_at) < long_ago)
            deaf = connection.execute(sa.select(events.c.id).where(ready, mine).limit(1)).first() is not None
        if deaf:
            log.error("work has waited for %s s while this worker was idle; it ends to be started again", DEAF_AFTER.seconds)
            self.leave(EXIT_DEAF)
