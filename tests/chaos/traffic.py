"""The stream: senders of every kind at once, who send what was not answered again and write what was answered into their book."""

import random
import threading
import time
from collections import Counter
from pathlib import Path

from cases import KINDS
from wires import line_to, why

from dxstream.hospital.book import ACKNOWLEDGED, REFUSED, Book
from dxstream.hospital.cases import Case, Sending
from dxstream.hospital.lines import Line, NotNow, Ports

#: Seconds between two tries of one sending.
AGAIN_SECONDS = 0.15


class Traffic:
    """``rate``: cases a second, all kinds together. ``acks``: answers by protocol; ``refusals``: by protocol and words."""

    def __init__(self, ports: Ports, book: Book, *, seed: int, rate: float, kinds: tuple[str, ...] = tuple(KINDS)) -> None:
        self.ports, self.book, self.rate = ports, book, rate
        self.acks: Counter[str] = Counter()
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.slowest = 0.0
        self.sent: list[Case] = []
        self.broken: list[str] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(
                target=self._run, args=(kind, random.Random(f"{seed} {kind} {line}"), rate / len(kinds) / 2), daemon=True
            )
            for kind in kinds
            for line in range(2)
        ]

    def start(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Each case that was begun is sent to its end, however often that takes."""
        self._ending.set()
        for thread in self._threads:
            thread.join()
        assert not self.broken, f"a sender has ended: {self.broken}"

    @property
    def taken(self) -> int:
        return sum(self.acks.values())

    def _run(self, kind: str, rng: random.Random, rate: float) -> None:
        lines: dict[str, Line] = {}
        try:
            while not self._ending.wait(rng.expovariate(rate)):
                self.deliver(KINDS[kind](rng), lines)
        except Exception as error:  # noqa: BLE001 - told when the traffic stops
            self.broken.append(f"{kind}: {error!r}")
        finally:
            for line in lines.values():
                line.close()

    def deliver(self, case: Case, lines: dict[str, Line]) -> None:
        """All of a case in order; returns when each sending has its answer."""
        for sending in case.sendings:
            self._deliver(case, sending, lines)
        with self._lock:
            self.sent.append(case)

    def _deliver(self, case: Case, sending: Sending, lines: dict[str, Line]) -> None:
        while True:
            began = time.monotonic()
            line = lines.get(sending.protocol) or lines.setdefault(sending.protocol, line_to(sending.protocol, self.ports))
            try:
                answer = line.send(sending)
            except NotNow as refusal:
                with self._lock:
                    self.refusals[sending.protocol, why(refusal)] += 1
                line.close()
                time.sleep(AGAIN_SECONDS)
                continue
            self.book.write(case, sending, answer.text, ACKNOWLEDGED if answer.taken else REFUSED)
            with self._lock:
                self.acks[sending.protocol] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            return


def open_book(home: Path) -> Book:
    return Book(home / "book.jsonl")
