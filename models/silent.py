"""Models that make no finding: what they learn from an input is the input itself, or words. No worker takes their cards."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.example import Example
from models.interface import Prepared
from models.model import GOLDEN_TOLERANCE, Model
from stream.errors import Fatal


class Silent(Model):
    """A network whose card has no labels. It has a loss of its own, and figures of its own for each input."""

    @abstractmethod
    def truth(self, examples: Sequence[Example]) -> NDArray[np.int64]:
        """(n, …): what the network is to learn of each example beside its input."""

    @abstractmethod
    def loss(self, batch: Sequence[Prepared], truth: Tensor) -> Tensor:
        """The loss of one forward pass."""

    @abstractmethod
    def measures(self, batch: Sequence[Prepared], examples: Sequence[Example]) -> Mapping[str, NDArray[np.float64]]:
        """(n,) of each figure, whose mean over the inputs is told."""

    def summary(self, told: Sequence[str], truth: Sequence[str]) -> dict[str, Any]:
        """Figures of the whole set, from what was told (``tell``) and each example's label; most networks have none."""
        del told, truth
        return {}

    def tell(self, batch: Sequence[Prepared]) -> list[str]:
        """What the network writes of each input; empty where it writes nothing."""
        return [""] * len(batch)

    def logits(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, 0): there is no finding."""
        return torch.empty(len(batch), 0, device=self.device)

    def warm_up(self) -> None:
        """Tries the golden case; raises Fatal unless its reconstruction error is the card's."""
        error = self.golden()["error"]
        expected = float(self.card.golden.get("error", error))
        if abs(error - expected) > GOLDEN_TOLERANCE * max(abs(expected), 1.0):
            raise Fatal(f"{self.card.name} does not give the golden case its error on {self.device}")
