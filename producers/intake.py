"""One door: every feed submits arrivals here; one committer writes them in groups, and only then the sender is answered.

All that arrived while the last commit was being written goes into the next. A group that fails is tried again one by one,
so that only the culprit is refused. Senders are answered once the disk has their group (``producers.answers``).
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from db.accept import Accepted
from db.engine import Database
from db.refusals import Refusal
from db.tally import raise_tallies
from producers.answers import Answers, Submission, fail
from producers.refused import RefusedThread
from producers.writer import NotWritten, WriteHere, Writer
from stream.arrival import Arrival, Receipt
from stream.errors import Temporary, Unwritable
from stream.metrics import Measures
from stream.ring import RingThread
from stream.window import Window

log = logging.getLogger(__name__)

#: The most arrivals that one commit takes.
MAX_GROUP = 256


class Intake:
    """The committer's thread. ``slot`` names this process in the tallies. ``writer``: who writes for it, else itself."""

    def __init__(
        self,
        database: Database,
        ring: RingThread,
        measures: Measures,
        *,
        slot: str,
        window: Window | None = None,
        writer: Writer | None = None,
    ) -> None:
        self.database = database
        self.measures = measures
        self.slot = slot
        self.window = window or Window()
        self._writer = writer or WriteHere(database, slot=slot, window=self.window)
        self._ring = ring
        self._waiting: queue.SimpleQueue[Submission | None] = queue.SimpleQueue()
        self._refused: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._refused_lock = threading.Lock()
        self._kept = RefusedThread(database)
        self._answers = Answers(database, measures)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Start committing."""
        self._writer.start()
        self._thread.start()
        self._answers.start()
        self._kept.start()

    def stop(self) -> None:
        """Commit what was submitted, then end; later submissions are answered Temporary."""
        self._stopped.set()
        self._waiting.put(None)
        self._thread.join(timeout=30)
        self._answers.stop()
        self._writer.close()
        self._kept.stop()
        self.write_refusals()

    def is_alive(self) -> bool:
        """Whether the committer still commits, and those whose input is durable are answered."""
        return self._thread.is_alive() and self._answers.is_alive()

    @property
    def last_received(self) -> Mapping[str, float]:
        """Feed → when it last brought something that was accepted, in seconds since 1970."""
        return self._answers.last_received

    def submit(self, arrival: Arrival) -> Future[Receipt]:
        """Hand over one arrival; the future gives its Receipt after the commit, or raises Unwritable or Temporary."""
        return self._hand_in(Submission((arrival,), True, time.monotonic()))

    def submit_whole(self, arrivals: Sequence[Arrival]) -> Future[Sequence[Receipt]]:
        """Hand over several that are committed together or not at all; the future gives their Receipts, or raises as above."""
        return self._hand_in(Submission(arrivals, False, time.monotonic()))

    def _hand_in(self, submission: Submission) -> Future[Any]:
        if self._stopped.is_set():
            submission.answer.set_exception(Temporary("the intake is stopping"))
        else:
            self._waiting.put(submission)
        return submission.answer

    def refused(self, feed: str, reason: str, *, content: bytes = b"", place: str = "", words: str = "") -> None:
        """Count a refusal, and keep ``content`` where there is any; ``reason`` is one of few words, never what was sent.

        ``words``: the reason at length, kept beside the content.
        """
        with self._refused_lock:
            self._refused["refused", (feed, reason)] += 1
        if content:
            self._kept.keep(Refusal(feed=feed, reason=words or reason, place=place, content=content))

    def keep_unwritable(self, feed: str, error: Unwritable, content: bytes) -> None:
        """Keep what the ledger cannot hold, as its feed had it. It is counted already."""
        self._kept.keep(Refusal(feed=feed, reason=error.reason, place="", content=content))

    def write_refusals(self) -> None:
        """Bring the counted refusals and failed rings into the ledger; without a database they wait for the next time."""
        with self._refused_lock:
            counts, self._refused = self._refused, Counter()
        counts["ring_failures", ()] += self._ring.bell.failures
        self._ring.bell.failures = 0
        if any(counts.values()):
            try:
                with self.database.write() as (connection, _):
                    raise_tallies(connection, self.slot, counts)
            except Temporary:
                with self._refused_lock:
                    self._refused.update(counts)

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            size = len(first.arrivals)
            ended = False
            while size < MAX_GROUP and not self._waiting.empty():
                submission = self._waiting.get()
                if submission is None:
                    ended = True
                    break
                group.append(submission)
                size += len(submission.arrivals)
            self._commit(group)
            if ended:
                return

    def _commit(self, group: list[Submission]) -> None:
        try:
            accepted = self._write(group)
        except Temporary as error:
            self._without_unsaved(group, error)
        except Exception as error:  # noqa: BLE001 - the loop's outer edge: no input may end the committer
            self._one_by_one(group, error)
        else:
            self._ring.want(accepted.rings)
            self._answers.give(group, accepted)

    def _without_unsaved(self, group: list[Submission], error: Temporary) -> None:
        """Those whose content could not be saved fail, and the others are tried without them; else all fail."""
        failed = [submission.failed for submission in group]
        if not any(failed):
            fail(group, error)
            return
        fail([submission for submission, gone in zip(group, failed, strict=True) if gone], error)
        if rest := [submission for submission, gone in zip(group, failed, strict=True) if not gone]:
            self._commit(rest)

    def _one_by_one(self, group: list[Submission], error: Exception) -> None:
        if len(group) > 1:
            for submission in group:
                self._commit([submission])
            return
        for arrival in group[0].arrivals:
            log.warning("an input cannot be written: feed=%s error=%s", arrival.feed, _kind(error))
            self.refused(arrival.feed, "cannot be written")
        fail(group, Unwritable("the ledger cannot hold this input"))

    def _write(self, group: list[Submission]) -> Accepted:
        now = time.monotonic()
        waited = [(arrival, now - one.began) for one in group for arrival in one.arrivals]
        return self._writer.write([arrival for arrival, _ in waited], [seconds for _, seconds in waited])


def _kind(error: Exception) -> str:
    """What may be told of an error."""
    return str(error) if isinstance(error, NotWritten) else type(error).__name__
