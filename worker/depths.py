"""The depth of the queues for ``/metrics``: read at once while that is quick, beside the scrapes once it is not.

Counting what is open takes some microseconds an event. With hundreds of thousands of them a scrape would wait for seconds, so then
it is told the last reading, which is taken again on a thread of its own once the database has had some rest from it.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from db.engine import Database
from db.report import depths_and_queues
from stream.errors import Temporary

#: A reading that took longer is no longer waited for, in seconds.
QUICK = 0.02
#: Between two readings beside the scrapes there is so many times as much rest as the last one took.
REST = 10


@dataclass(frozen=True)
class Reading:
    """What is open, how long it took to count, and when that ended by the monotonic clock."""

    depth: Mapping[tuple[str, str, str], int]
    oldest: Mapping[tuple[str, str], float]  # seconds, when it was read
    took: float = 0.0
    at: float = field(default_factory=time.monotonic)

    def oldest_now(self) -> dict[tuple[str, str], float]:
        """The ages now."""
        since = time.monotonic() - self.at
        return {queue: seconds + since if seconds else 0.0 for queue, seconds in self.oldest.items()}


class Depths:
    """One reader for all scrapes of a process."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._last: Reading | None = None
        self._busy = threading.Lock()

    def read(self) -> Reading:
        """The present state, or the last one that was read; raises Temporary when the database cannot be had."""
        last = self._last
        if last is None or last.took <= QUICK:
            last = self._last = self._count()
        elif time.monotonic() - last.at > REST * last.took and self._busy.acquire(blocking=False):
            counting = threading.Thread(target=self._beside, name="depths", daemon=True)
            counting.start()
            counting.join(QUICK)
            last = self._last or last
        return last

    def _beside(self) -> None:
        try:
            self._last = self._count()
        except Temporary:
            self._last = None  # the next scrape says so
        finally:
            self._busy.release()

    def _count(self) -> Reading:
        began = time.monotonic()
        with self.database.read() as connection:
            depth, queues = depths_and_queues(connection, self.database.now(connection))
        oldest: dict[tuple[str, str], Any] = {(queue["modality"], queue["lane"]): queue["oldest_seconds"] for queue in queues}
        return Reading(depth=depth, oldest=oldest, took=time.monotonic() - began)
