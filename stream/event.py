"""One judgement asked for, as a worker holds it; and what the worker says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stream.judgement import Judgement


@dataclass(frozen=True, kw_only=True)
class Event:
    """A claimed event. ``fence``: the number that this claim raised.

    ``suspect``: a worker died while it held it; ``alone``: that may have been its doing, so it is judged by itself.
    ``digest`` names the content; of a series, that of all its instances up to ``inputs_through``. Times by the database.
    ``gather_seconds``: from its last input until it was opened.
    """

    id: int
    case_key: str
    revision: int
    modality: str
    lane: str
    facts: Mapping[str, Any]
    digest: str
    inputs_through: int
    fence: int
    attempts: int
    failures: int
    suspect: bool
    alone: bool
    received_at: datetime
    acquired_at: datetime | None
    as_of: datetime | None
    claimed_at: datetime
    gather_seconds: float | None = None

    @property
    def waited_seconds(self) -> float:
        """From its opening until it was claimed."""
        return max((self.claimed_at - self.received_at).total_seconds() - (self.gather_seconds or 0.0), 0.0)


@dataclass(frozen=True, kw_only=True)
class Model:
    """Which model answered: the words of ``predictions``."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """A model judged it."""

    judgement: Judgement
    model: Model


@dataclass(frozen=True, kw_only=True)
class NotPredicted:
    """``outcome``: rejected or unmatched, with the reason; ``model``: whose gate refused."""

    outcome: str
    reason: str
    model: Model | None = None


@dataclass(frozen=True, kw_only=True)
class Later:
    """A temporary error: back to waiting until ``delay_seconds`` have gone by."""

    reason: str
    stage: str
    delay_seconds: float


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """Dead: it can never be judged, or was tried too often."""

    reason: str
    stage: str


Verdict = Predicted | NotPredicted | Later | GivenUp


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An event with its verdict and the seconds of its stages (fetch, prepare, infer)."""

    event: Event
    verdict: Verdict
    seconds: Mapping[str, float] = field(default_factory=dict)
