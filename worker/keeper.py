"""The keeper: ends leases that ran out, closes cases whose time has come, rings queues that nobody serves, prunes what is old."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from redis import RedisError

from db.cards import active_rows
from db.close import AT_ONCE, Closer, any_due
from db.engine import Database
from db.explanations import unexplained
from db.leases import LEASE, expire, forget, unserved_queues
from db.slots import Slot
from db.tally import Counts, raise_tallies
from stream.content import ContentStore
from stream.errors import Temporary
from stream.keep import Keep
from stream.queues import queue_name
from stream.ring import Bell
from stream.window import ORIGIN, Window
from worker.pruner import Pruner

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
#: How often the database's log is brought into its file, in seconds.
LOG_SECONDS = 5.0
#: A sweep that waited so long for the database was not the only one who waited: heartbeats did too. Seconds; what waited for
#: less has still a second of its lease left, since that is three beats long.
SLOW_SECONDS = 3.0
#: A queue with work that nobody has claimed from for so long is rung.
QUIET = timedelta(seconds=1)
#: Predictions that have waited so long for their explanation have their queue rung: whoever has nothing else to do explains them.
UNEXPLAINED = timedelta(seconds=5)


class Keeper:
    """One or several may run: each step is a transaction that two keepers can try at once."""

    def __init__(
        self, database: Database, bell: Bell, store: ContentStore, *, slot: str = "keeper", keep: Keep | None = None
    ) -> None:
        self.database = database
        self.bell = bell
        self.store = store
        self.slot = slot
        self.pruner = Pruner(database, store, keep, slot=slot) if keep and keep.anything else None
        self.stop = threading.Event()
        self._spare_until = 0.0  # monotonic seconds
        self._log_at = 0.0  # likewise

    def run(self) -> None:
        """Sweep until told to stop."""
        while not self.stop.is_set():
            try:
                self.sweep()
            except Temporary as error:
                log.warning("no sweep: %s", error)
                self._spare()
            self.stop.wait(SWEEP_SECONDS)

    def sweep(self) -> None:
        """One round; raises Temporary when the database cannot be had."""
        self._end_leases()
        self._close_cases()
        self._ring()
        with self.database.write(durable=False) as (connection, now):
            forget(connection, now)
            Slot(connection, self.slot).write(connection, now, [["dxstream_keeper_sweep_timestamp_seconds", {}, time.time()]])
        if self.pruner:
            self.pruner.step()
        if time.monotonic() >= self._log_at:
            self._bring_in_log()

    def _bring_in_log(self) -> None:
        """Where the disk is full, that keeps nobody from anything else."""
        self._log_at = time.monotonic() + LOG_SECONDS
        try:
            self.database.bring_in_log()
        except Temporary as error:
            log.warning("the log is not brought into the database: %s", error)

    def _end_leases(self) -> None:
        """Not waiting for the disk: a machine that forgets the end of a lease still has the lease, which ends again."""
        freed = 0
        began = time.monotonic()
        with self.database.write(durable=False) as (connection, now):
            if time.monotonic() - began > SLOW_SECONDS:
                self._spare()
            if time.monotonic() >= self._spare_until:
                counts: Counts = Counter()
                freed = expire(connection, now, counts)
                raise_tallies(connection, self.slot, counts)
        if freed:
            log.warning("%d events came free from leases that ran out", freed)

    def _spare(self) -> None:
        """Nobody could renew a lease while the database was away: for as long as one lasts, none is ended.

        Else every worker would have to start again, and events that were judged alone just then would seem to have killed them.
        """
        self._spare_until = time.monotonic() + LEASE.total_seconds()

    def _close_cases(self) -> None:
        """Looks before it locks: mostly nothing is due."""
        with self.database.read() as connection:
            if not any_due(connection, self.database.now(connection)):
                return
            window, codes = lab_window(active_rows(connection))
        closer = Closer(store=self.store, window=window, codes=codes, slot=self.slot)
        rings: dict[str, list[int]] = {"": []}
        while rings:
            with self.database.write() as (connection, now):
                rings = closer.close_due(connection, now)
            for name, ids in rings.items():
                self.bell.ring(name, ids)
            if sum(map(len, rings.values())) < AT_ONCE:
                return

    def _ring(self) -> None:
        with self.database.read() as connection:
            quiet = unserved_queues(connection, self.database.now(connection), quiet=QUIET)
            wanted = unexplained(connection, self.database.now(connection), quiet=UNEXPLAINED)
        for modality, lane in quiet:
            self.bell.ring(queue_name(modality, lane), [])
        for modality in wanted:
            self.bell.ring(queue_name(modality, "backlog"), [])


def lab_window(active: Any) -> tuple[Window, tuple[str, ...]]:
    """The window that the first active lab card declares, and the LOINC codes that it takes; one without labels judges nothing."""
    for row in active:
        card: Mapping[str, Any] = row["card"]
        if row["modality"] == "lab" and card.get("window") and card.get("labels") and card["window"]["origin"] == ORIGIN:
            declared = card["window"]
            later = timedelta(hours=declared["speaks_at_hours"] - declared["length_hours"], minutes=declared["grace_minutes"])
            window = Window(length=timedelta(hours=declared["length_hours"]), grace=later)
            return window, tuple(analyte["codes"][0] for analyte in card.get("analytes", ()))
    return Window(), ()


def unheard_rings(bell: Bell, names: Any) -> dict[str, int]:
    """The Redis list's length of each queue; empty when Redis cannot be had."""
    try:
        return {name: bell.unheard(name) for name in names}
    except RedisError:
        return {}
