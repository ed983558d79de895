"""Keeps the bytes that feeds refused, on a thread of its own: the answer neither waits for it nor fails with it."""

import logging
import queue
import threading

from sqlalchemy.exc import SQLAlchemyError

from db.engine import Database
from db.refusals import Refusal, keep_refusals
from stream.errors import Temporary

log = logging.getLogger(__name__)

#: What waits to be written takes no more memory than this, in bytes; what comes beyond it is let go.
MOST_WAITING_BYTES = 32 * 1024 * 1024
#: Refusals in one commit, at most.
MAX_GROUP = 64
#: Without a database: seconds until the next try.
RETRY_SECONDS = 2.0


class RefusedThread:
    """``dropped`` counts what was let go because too much waited, or could not be written."""

    def __init__(self, database: Database) -> None:
        self.dropped = 0
        self._database = database
        self._waiting: queue.SimpleQueue[Refusal | None] = queue.SimpleQueue()
        self._bytes = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refused", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, once, then end."""
        self._stopped.set()
        self._waiting.put(None)
        self._thread.join(timeout=15)

    def keep(self, refusal: Refusal) -> None:
        """Hand over what was refused; returns at once."""
        with self._lock:
            fits = self._bytes + len(refusal.content) <= MOST_WAITING_BYTES
            self._bytes += len(refusal.content) if fits else 0
            self.dropped += not fits
        if fits:
            self._waiting.put(refusal)

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            ended = False
            while len(group) < MAX_GROUP and not ended and not self._waiting.empty():
                refusal = self._waiting.get()
                ended = refusal is None
                group += [refusal] if refusal else []
            self._write(group)
            with self._lock:
                self._bytes -= sum(len(refusal.content) for refusal in group)
            if ended:
                return

    def _write(self, group: list[Refusal]) -> None:
        """Until it is written; when the thread is to end, once."""
        while True:
            try:
                with self._database.write() as (connection, now):
                    keep_refusals(connection, now, group)
            except (Temporary, SQLAlchemyError) as error:
                if isinstance(error, Temporary) and not self._stopped.wait(RETRY_SECONDS):
                    continue
                self.dropped += len(group)
                log.warning("what was refused is not kept: n=%d error=%s", len(group), type(error).__name__)
            return
