"""Sends a plan over the real protocols and writes every answer into the book. What is not answered is sent again."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from dxstream.hospital.book import ACKNOWLEDGED, GIVEN_UP, REFUSED, Book
from dxstream.hospital.cases import Case, Sending
from dxstream.hospital.lines import LINES, Answer, Line, NotNow, Ports
from dxstream.hospital.planning import Plan

#: Seconds without any answer after which a sender gives up.
PATIENCE = 180.0
#: Seconds before the first and the later repetitions of one sending.
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
#: Connections at a time for each kind of case.
SCAN_LINES, STAY_LINES, NOTE_LINES = 3, 4, 3

Progress = Callable[[int], None]


def send_all(
    plan: Plan,
    ports: Ports,
    book: Book,
    progress: Progress,
    *,
    patience: float = PATIENCE,
    stop: threading.Event | None = None,
) -> None:
    """Sends all cases, three kinds at once; returns when each has its answer in the book, or when ``stop`` is set.

    ``progress``: called from several threads, with 1 for each case that is through.
    """
    stop = stop or threading.Event()
    senders = [
        Sender(ports, book, progress, dealer, patience=patience, stop=stop)
        for dealer, count in (
            (Dealer(plan.scans()), SCAN_LINES),
            (Dealer(plan.stays()), STAY_LINES),
            (Dealer(plan.notes()), NOTE_LINES),
        )
        for _ in range(count)
    ]
    with ThreadPoolExecutor(len(senders), thread_name_prefix="hospital") as pool:
        for done in [pool.submit(sender.run) for sender in senders]:
            done.result()


class Dealer:
    """Deals cases to several threads, each case once."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._cases = iter(cases)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Case]:
        """Itself."""
        return self

    def __next__(self) -> Case:
        """The next case."""
        with self._lock:
            return next(self._cases)


class Sender:
    """One thread's way of sending: case by case, the things of one case in order, one connection a protocol."""

    def __init__(
        self, ports: Ports, book: Book, progress: Progress, cases: Iterable[Case], *, patience: float, stop: threading.Event
    ) -> None:
        self._ports = ports
        self._book = book
        self._progress = progress
        self._cases = cases
        self._patience = patience
        self._stop = stop
        self._lines: dict[str, Line] = {}
        self._answered_at = time.monotonic()

    def run(self) -> None:
        """Until there are no more cases, or it is asked to stop."""
        try:
            for case in self._cases:
                for sending in case.sendings:
                    self._deliver(case, sending)
                if self._stop.is_set():
                    return
                self._progress(1)
        finally:
            for line in self._lines.values():
                line.close()

    def _deliver(self, case: Case, sending: Sending) -> None:
        """Sends again and again until there is an answer, or none has come for the time of its patience."""
        wait = FIRST_WAIT
        while not self._stop.is_set():
            try:
                answer = self._send(sending)
            except NotNow as refusal:
                if time.monotonic() - self._answered_at > self._patience:
                    self._book.write(case, sending, str(refusal), GIVEN_UP)
                    return
                self._stop.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            else:
                self._book.write(case, sending, answer.text, ACKNOWLEDGED if answer.taken else REFUSED)
                return

    def _send(self, sending: Sending) -> Answer:
        """One try; a line that gave no answer is closed, so that the next try connects again."""
        line = self._lines.get(sending.protocol)
        if line is None:
            line = self._lines[sending.protocol] = LINES[sending.protocol](self._ports)
        try:
            answer = line.send(sending)
        except NotNow:
            line.close()
            raise
        self._answered_at = time.monotonic()
        return answer
