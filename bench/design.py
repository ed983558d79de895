"""What every design that is measured can do, and what is found of it."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: One of each a core: loops, workers, Celery's processes.
PROCESSES = 2
#: Of the tables, in characters.
WIDTH = 132


@dataclass(frozen=True, kw_only=True)
class Drained:
    """A full queue, emptied."""

    number: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.number / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor time an event, in milliseconds."""
        return 1000 * self.cpu_seconds / self.number


class Design(Protocol):
    """Started and warm."""

    def drain(self, paths: Sequence[Path]) -> Drained:
        """Judge these files, all of which wait at the beginning."""


#: Submits each file at its moment (seconds from now); gives the seconds from then until its prediction was durable.
Feed = Callable[[Sequence[Path], Sequence[float]], list[float]]


class Fed(Design, Protocol):
    """One that can be fed at a given pace too."""

    def feed(self, paths: Sequence[Path], moments: Sequence[float]) -> list[float]:
        """See ``Feed``."""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)
