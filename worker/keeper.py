"""The keeper: ends leases that ran out, closes cases whose time has come, rings queues that nobody serves."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from redis import RedisError

from db.cards import active_rows
from db.close import AT_ONCE, Closer
from db.engine import Database
from db.leases import expire, forget, unserved_queues
from db.slots import Slot
from db.tally import Counts, raise_tallies
from stream.content import ContentStore
from stream.errors import Temporary
from stream.queues import queue_name
from stream.ring import Bell
from stream.window import Window

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
#: A queue with work that nobody has claimed from for so long is rung.
QUIET = timedelta(seconds=1)


class Keeper:
    """One or several may run: each step is a transaction that two keepers can try at once."""

    def __init__(self, database: Database, bell: Bell, store: ContentStore, *, slot: str = "keeper") -> None:
        self.database = database
        self.bell = bell
        self.store = store
        self.slot = slot
        self.stop = threading.Event()

    def run(self) -> None:
        """Sweep until told to stop."""
        while not self.stop.is_set():
            try:
                self.sweep()
            except Temporary as error:
                log.warning("no sweep: %s", error)
            self.stop.wait(SWEEP_SECONDS)

    def sweep(self) -> None:
        """One round; raises Temporary when the database cannot be had."""
        self._end_leases()
        self._close_cases()
        self._ring()
        with self.database.write() as (connection, now):
            forget(connection, now)
            Slot(connection, self.slot).write(connection, now, [["dxstream_keeper_sweep_timestamp_seconds", {}, time.time()]])

    def _end_leases(self) -> None:
        with self.database.write() as (connection, now):
            counts: Counts = Counter()
            freed = expire(connection, now, counts)
            raise_tallies(connection, self.slot, counts)
        if freed:
            log.warning("%d events came free from leases that ran out", freed)

    def _close_cases(self) -> None:
        with self.database.read() as connection:
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
        for modality, lane in quiet:
            self.bell.ring(queue_name(modality, lane), [])


def lab_window(active: Any) -> tuple[Window, tuple[str, ...]]:
    """The window that the active lab card declares, and the LOINC codes that it takes."""
    for row in active:
        card: Mapping[str, Any] = row["card"]
        if row["modality"] == "lab" and card.get("window"):
            declared = card["window"]
            window = Window(length=timedelta(hours=declared["length_hours"]), grace=timedelta(minutes=declared["grace_minutes"]))
            return window, tuple(analyte["codes"][0] for analyte in card.get("analytes", ()))
    return Window(), ()


def unheard_rings(bell: Bell, names: Any) -> dict[str, int]:
    """The Redis list's length of each queue; empty when Redis cannot be had."""
    try:
        return {name: bell.unheard(name) for name in names}
    except RedisError:
        return {}
