"""What a worker asks of a model, and what passes between the two. Imports no torch: any object that does this can judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from stream.judgement import Judgement, Sample


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One input as arrays without a batch axis, ready for ``infer``; ``details`` ends up in the prediction."""

    arrays: Mapping[str, NDArray[Any]]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What the networks said of one input. ``logits``: (labels,), uncalibrated; ``error``: the autoencoder's.

    ``passes``: (passes, labels), the same by Monte Carlo dropout, where the card asks for it.
    """

    logits: NDArray[np.float32]
    error: float
    passes: NDArray[np.float32] | None = None


class Model(Protocol):
    """``prepare`` and ``interpret`` may run on any thread, ``infer`` on one. What each raises stands in ``models.model``."""

    card: Card
    #: The most inputs that one ``infer`` should get.
    batch_size: int

    def prepare(self, sample: Sample) -> Prepared:
        """The arrays of a sample."""

    def infer(self, batch: Sequence[Prepared]) -> list[Scores]:
        """The scores of each input."""

    def interpret(self, prepared: Prepared, scores: Scores) -> Judgement:
        """What is said of the input."""
