"""Senders are answered once their group is durable, on a thread of its own: the next group is written meanwhile."""

import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from db.accept import Accepted
from db.engine import Database
from stream.arrival import Arrival, CancelNote, JoinSeries, JudgeNow, WriteNote
from stream.errors import Temporary
from stream.metrics import Measures

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submission:
    """``arrivals`` go into one commit, or none of them does. ``answer``: the Receipt of a single one, else one for each."""

    arrivals: Sequence[Arrival]
    single: bool
    began: float  # monotonic seconds
    answer: Future[Any] = field(default_factory=Future)

    @property
    def failed(self) -> bool:
        """Whether some content could not be saved."""
        return any(arrival.content.failed for arrival in self.arrivals)


class Answers:
    """With a thread that waits for the disk. ``last_received``: feed → when it last brought something, in seconds since 1970."""

    def __init__(self, database: Database, measures: Measures) -> None:
        self.last_received: dict[str, float] = {}
        self._database, self._measures = database, measures
        self._written: queue.SimpleQueue[tuple[Sequence[Submission], Accepted] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what was written, then end."""
        self._written.put(None)
        self._thread.join(timeout=30)

    def is_alive(self) -> bool:
        """Whether anybody is still answered."""
        return self._thread.is_alive()

    def give(self, group: Sequence[Submission], accepted: Accepted) -> None:
        """Answer a group that is durable, or have it answered once it is."""
        if accepted.durable:
            self._answer(group, accepted)
        else:
            self._written.put((group, accepted))

    def _run(self) -> None:
        ended = False
        while not ended:
            written = [self._written.get()]
            while not self._written.empty():
                written.append(self._written.get())
            ended = None in written
            self._answer_durable([one for one in written if one is not None])

    def _answer_durable(self, written: Sequence[tuple[Sequence[Submission], Accepted]]) -> None:
        try:
            self._database.sync()
        except Exception as error:  # noqa: BLE001 - the loop's outer edge: whoever sends again is recognised
            log.warning("what was written is not known to be durable: error=%s", type(error).__name__)
            for group, _ in written:
                fail(group, Temporary("what was written is not known to be durable"))
        else:
            for group, accepted in written:
                self._answer(group, accepted)

    def _answer(self, group: Sequence[Submission], accepted: Accepted) -> None:
        durable = time.monotonic()
        receipts = iter(accepted.receipts)
        for submission in group:
            for arrival in submission.arrivals:
                self.last_received[arrival.feed] = time.time()
                for modality in _modalities(arrival):
                    seconds = durable - submission.began
                    self._measures.observe("dxstream_stage_seconds", seconds, modality=modality, stage="accept")
            told = list(islice(receipts, len(submission.arrivals)))
            if submission.answer.set_running_or_notify_cancel():  # False when the sender has gone
                submission.answer.set_result(told[0] if submission.single else told)


def fail(group: Sequence[Submission], error: Exception) -> None:
    """Nobody of the group is told that it was taken."""
    for submission in group:
        if submission.answer.set_running_or_notify_cancel():
            submission.answer.set_exception(error)


_MODALITIES = {JudgeNow: "scan", JoinSeries: "scan", WriteNote: "note", CancelNote: "note"}


def _modalities(arrival: Arrival) -> set[str]:
    return {getattr(ask, "modality", _MODALITIES.get(type(ask), "lab")) for ask in arrival.asks}
