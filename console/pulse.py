"""How the last hour went: a thread takes the ledger's pulse every few seconds and keeps it in memory, so no query looks back."""

import logging
import threading
from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from db import report
from db.engine import Database
from db.slots import read_slots
from db.tally import read_tallies
from stream.errors import Temporary
from stream.queues import Modality
from stream.rounds import one_round

log = logging.getLogger(__name__)

#: Between two looks, in seconds, and how many are kept: an hour.
BEAT_SECONDS = 5.0
KEPT = 720
#: Rates and latencies are those of so many beats together.
SPAN = 6
LATENCY = "dxstream_latency_seconds_bucket"

Counted = Mapping[str, float]
#: Upper bounds in seconds, and the events up to each. An hour of beats stays small: the bounds are one tuple for all of them.
Buckets = tuple[tuple[float, ...], "array[float]"]


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One look. ``received``, ``done``: counters by modality; ``latency``: by modality too."""

    at: datetime
    received: Counted
    done: Counted
    depth: Counted
    oldest: Counted
    latency: Mapping[str, Buckets]
    totals: Mapping[str, float] = field(default_factory=dict)


def take_beat(connection: sa.Connection, now: datetime) -> Beat:
    """What the ledger says at this moment."""
    tallies = read_tallies(connection)
    waiting = report.queues(connection, now)
    counted = report.depths(connection, now)
    return Beat(
        at=now,
        received=_by_modality(tallies.get("events", {})),
        done=_by_modality(tallies.get("events_done", {})),
        depth={one: sum(row["waiting"] + row["leased"] for row in waiting if row["modality"] == one) for one in Modality},
        oldest={one: max((row["oldest_seconds"] for row in waiting if row["modality"] == one), default=0.0) for one in Modality},
        latency=_latency(read_slots(connection)),
        totals={
            state: sum(n for (_, _, found), n in counted.items() if found == state)
            for state in ("waiting", "delayed", "leased", "dead")
        },
    )


def _by_modality(counts: Mapping[tuple[str, ...], int]) -> Counted:
    return {one: sum(number for labels, number in counts.items() if labels[0] == one) for one in Modality}


def _latency(samples: Sequence[Sequence[Any]]) -> dict[str, Buckets]:
    table: dict[str, dict[float, float]] = {one: {} for one in Modality}
    for name, labels, value in samples:
        if name == LATENCY and labels.get("modality") in table:
            bounds = table[labels["modality"]]
            bound = float(labels["le"])
            bounds[bound] = bounds.get(bound, 0.0) + value
    return {
        one: (_shared(tuple(sorted(bounds))), array("d", [bounds[bound] for bound in sorted(bounds)]))
        for one, bounds in table.items()
    }


@lru_cache(maxsize=8)
def _shared(bounds: tuple[float, ...]) -> tuple[float, ...]:
    return bounds


def rates(beats: Sequence[Beat], counter: str, modality: str) -> list[float | None]:
    """Events a minute at each beat, over the beats just before it; None before there are two."""
    found: list[float | None] = []
    for place, beat in enumerate(beats):
        first = beats[max(0, place - SPAN)]
        seconds = (beat.at - first.at).total_seconds()
        rose = getattr(beat, counter)[modality] - getattr(first, counter)[modality]
        found.append(max(rose, 0.0) * 60 / seconds if seconds > 0 else None)
    return found


def quantiles(beats: Sequence[Beat], share: float, modality: str) -> list[float | None]:
    """Latency in seconds that ``share`` of the events stayed under, as the histogram's buckets tell it; None without events."""
    return [_quantile(beats[max(0, place - SPAN)], beat, share, modality) for place, beat in enumerate(beats)]


def _quantile(first: Beat, last: Beat, share: float, modality: str) -> float | None:
    before = dict(zip(*first.latency[modality], strict=True))
    rose = [(bound, count - before.get(bound, 0.0)) for bound, count in zip(*last.latency[modality], strict=True)]
    if not rose or rose[-1][1] <= 0:
        return None
    wanted, low, under = share * rose[-1][1], 0.0, 0.0
    for bound, count in rose:
        if count >= wanted:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (wanted - under) / max(count - under, 1e-9)
        low, under = bound, count
    return None


class Pulse:
    """The thread and what it remembers; a database that is away leaves a gap."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._beats: deque[Beat] = deque(maxlen=KEPT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def beats(self) -> list[Beat]:
        """Oldest first."""
        return list(self._beats)

    def look(self) -> None:
        """Take one beat now."""
        try:
            with self.database.read() as connection:
                self._beats.append(take_beat(connection, self.database.now(connection)))
        except Temporary as error:
            log.warning("the console's charts have a gap: %s", error)

    def _run(self) -> None:
        while True:
            with one_round("the console's pulse"):
                self.look()
            if self._stop.wait(BEAT_SECONDS):
                return
