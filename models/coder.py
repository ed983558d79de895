"""The textbook's dense autoencoder over 784 numbers of a picture or note, or a window's summary: x ≈ D(E(x)), its features E(x)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from models.card import VOCABULARY_FILE, Card
from models.describe import SUMMARY, describe, summary
from models.example import Example
from models.interface import Prepared
from models.pixels import read_picture, squash
from models.silent import Silent
from models.window import Scale, hourly, place
from models.words import Vocabulary, bag, tokenize
from stream.judgement import Sample
from stream.points import decode_points

#: Side of the picture, and as many numbers of a note: 28² = 784.
SIDE = 28


@dataclass(frozen=True, kw_only=True)
class CoderConfig:
    """``layers``: widths from the input inward, the last is the code; (64,) or (64, 32).

    ``loss``: ``squared`` error or ``binary`` cross-entropy; ``hours``: of a lab window.
    """

    layers: tuple[int, ...] = (64, 32)
    loss: str = "squared"
    hours: int = 48


class Coder(nn.Module):
    """Dense layers inward and the same outward, ReLU between, a sigmoid at the end."""

    def __init__(self, width: int, layers: Sequence[int]) -> None:
        super().__init__()
        inward = (width, *layers)
        self.encoder = nn.Sequential(*_dense(inward))
        self.decoder = nn.Sequential(*_dense(inward[::-1])[:-1], nn.Sigmoid())

    def rebuild(self, rows: Tensor) -> Tensor:
        """(B, width) between 0 and 1 → the same from the code."""
        return cast("Tensor", self.decoder(self.encoder(rows)))

    def encode(self, rows: Tensor) -> Tensor:
        """(B, width) → (B, layers[-1]) the code."""
        return cast("Tensor", self.encoder(rows))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, width) → (B,) mean squared error of each."""
        return torch.square(self.rebuild(rows) - rows).mean(dim=1)


def _dense(widths: Sequence[int]) -> list[nn.Module]:
    return [layer for before, after in pairwise(widths) for layer in (nn.Linear(before, after), nn.ReLU())]


def scan_row(sample: Sample) -> NDArray[np.float32]:
    """(784,) the picture at 28 by 28, 0 to 1."""
    picture = squash(read_picture(sample.contents[0]), SIDE)
    return (picture.astype(np.float32) / 255.0).ravel()


class CoderModel(Silent):
    """One input of any kind as a row between 0 and 1. The network is its own gate: its error says what is unusual."""

    batch_size = 256

    def __init__(self, card: Card, device: str = "cpu") -> None:
        self.config = coder_config(card.config)
        self.scale = Scale.of(card.analytes)
        path = card.folder / VOCABULARY_FILE
        self.vocabulary = Vocabulary.read(path) if card.kind == "note" else None
        width = SUMMARY * len(card.analytes) if card.kind == "lab" else SIDE**2
        network = Coder(width, self.config.layers)
        super().__init__(card, network, network, device)
        self.coder = network

    def read(self, sample: Sample) -> Prepared:
        """``row``: (width,) between 0 and 1."""
        return Prepared(arrays={"row": self._row(sample)})

    def _row(self, sample: Sample) -> NDArray[np.float32]:
        if self.vocabulary:
            words = self.vocabulary.numbers(tokenize(b"\n".join(sample.contents).decode(errors="replace")))
            return bag(words, SIDE**2)
        if self.card.kind == "lab":
            placed = place(decode_points(sample.contents[0]), self.scale, self.config.hours)
            window = hourly([placed.cell], [placed.value], self.scale, self.config.hours)
            return np.asarray(1.0 / (1.0 + np.exp(-summary(describe(window))[0])), np.float32)
        return scan_row(sample)

    def refusal(self, prepared: Prepared) -> str:
        """Nothing is refused before the network."""
        del prepared
        return ""

    def features(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, width)."""
        return torch.from_numpy(np.stack([one.arrays["row"] for one in batch])).to(self.device)

    def truth(self, examples: Sequence[Example]) -> NDArray[np.int64]:
        """(n,) nothing beside the input."""
        return np.zeros(len(examples), np.int64)

    def loss(self, batch: Sequence[Prepared], truth: Tensor) -> Tensor:
        """Squared error ‖x - D(E(x))‖², or binary cross-entropy, a mean over the numbers."""
        del truth
        rows = self.features(batch)
        told = self.coder.rebuild(rows)
        if self.config.loss == "binary":
            return functional.binary_cross_entropy(told.float(), rows)
        return functional.mse_loss(told, rows)

    def measures(self, batch: Sequence[Prepared], examples: Sequence[Example]) -> Mapping[str, NDArray[np.float64]]:
        """Mean absolute and mean squared error of each input's numbers."""
        del examples
        rows = self.features(batch)
        away = self.coder.rebuild(rows) - rows
        told = {"mean_absolute_error": away.abs().mean(dim=1), "mean_squared_error": away.square().mean(dim=1)}
        return {name: one.double().cpu().numpy() for name, one in told.items()}


def coder_config(config: Mapping[str, Any]) -> CoderConfig:
    """The config as a card has it."""
    return CoderConfig(**{**config, "layers": tuple(config.get("layers", CoderConfig.layers))})


def build(card: Card, device: str = "cpu") -> CoderModel:
    """The model of a card, weights not yet loaded."""
    return CoderModel(card, device)
