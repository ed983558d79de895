"""One question to a model: why it said a label of a sample, and the score by which each kind's method measures the answer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.model import Model
from stream.judgement import Sample


def nothing_more_urgent() -> None:
    """Where nobody waits."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Why ``model`` said ``label`` of ``sample``. ``go_on``: called before each forward pass; may raise to stop it."""

    model: Model
    sample: Sample
    label: str
    go_on: Callable[[], None] = nothing_more_urgent

    @property
    def place(self) -> int:
        """The label's among the outputs."""
        return self.model.card.labels.index(self.label)

    def score(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        """(samples,) log odds of the label in each, uncalibrated."""
        return np.concatenate([self._score(batch) for batch in _batches(samples, self.model.batch_size)])

    def _score(self, batch: Sequence[Sample]) -> NDArray[np.float64]:
        self.go_on()
        told = self.model.infer([self.model.read(sample) for sample in batch])
        return log_odds(self.model.card, np.stack([one.logits for one in told]))[:, self.place]


def log_odds(card: Card, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """(B, labels): the logit itself, where labels exclude each other that of one against all others."""
    if not card.exclusive:
        return logits.astype(np.float64)
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    others = shifted.sum(axis=1, keepdims=True) - shifted
    return np.asarray(np.log(np.maximum(shifted, 1e-12)) - np.log(np.maximum(others, 1e-12)))


def _batches(samples: Sequence[Sample], size: int) -> Iterator[Sequence[Sample]]:
    return (samples[start : start + size] for start in range(0, len(samples), size))
