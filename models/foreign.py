"""Models brought along: an exported program, an ONNX file or a MONAI network behind our own reading, gates and calibration.

``config`` of the card: ``inputs``, the network's inputs in order, and for a scan ``side``, ``channels`` (1 or 3, all the same
greys) and either nothing (each picture gets mean 0 and standard deviation 1) or ``mean`` and ``std`` of greys from 0 to 1; for
a lab ``hours``; for a note ``most_tokens``, to which every note is cut and padded by 0. The network gives (batch, labels)
logits, for a card of one label also (batch, 2), of which the second is the label's; ``gives`` is ``probabilities`` where it ends
in a sigmoid or softmax.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.autoencoder import PictureAutoencoder, RowAutoencoder
from models.card import AUTOENCODER_FILE, VOCABULARY_FILE, BadCard, Card
from models.describe import SUMMARY
from models.foreign_network import open_network
from models.interface import Prepared
from models.lab import LabConfig, LabModel
from models.model import Model
from models.note import NoteConfig, NoteModel
from models.scan import AUTOENCODER_SIDE, ScanModel, standardise
from models.window import Scale
from models.words import Vocabulary


class Unchecked(nn.Module):
    """Stands where a card brings no autoencoder: finds nothing unusual."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, …) → (B,) zeros."""
        return features.new_zeros(len(features))


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the card's ``config`` says of the network's inputs."""

    inputs: tuple[str, ...]
    side: int = 224
    channels: int = 1
    mean: float | None = None
    std: float = 1.0
    hours: int = 48
    most_tokens: int = 512
    gives: str = "logits"

    @classmethod
    def of(cls, card: Card, usual: Sequence[str]) -> "Told":
        """From the card; raises BadCard for an input that this kind does not have."""
        own = {key: value for key, value in card.config.items() if key in cls.__dataclass_fields__}
        told = cls(**{**own, "inputs": tuple(own.get("inputs", usual[:1] if card.kind != "lab" else usual[:2]))})
        if unknown := set(told.inputs) - set(usual):
            raise BadCard(f"{card.name}: a {card.kind} has no input named {', '.join(sorted(unknown))}; it has {', '.join(usual)}")
        return told


class Brought(Model):
    """What is common to the kinds: the network comes from the card's own file, the autoencoder only if there is one."""

    told: Told

    def settle(self, card: Card, autoencoder: Callable[[], nn.Module], device: str) -> None:
        """In place of the kind's own beginning: networks without their weights."""
        checked = AUTOENCODER_FILE in card.files
        Model.__init__(self, card, nn.Identity(), autoencoder() if checked else Unchecked(), device)

    def load_weights(self) -> None:
        """Opens the network; raises BadCard when its file is not what the card says."""
        self.network = open_network(self.card, len(self.told.inputs), self.device).to(self.device).eval()
        if AUTOENCODER_FILE in self.card.files:
            self.fill(self.autoencoder, AUTOENCODER_FILE)

    def inputs(self, batch: Sequence[Prepared]) -> tuple[Tensor, ...]:
        """The network's inputs, in the card's order."""
        return tuple(self.named_input(name, batch).to(self.device) for name in self.told.inputs)

    def named_input(self, name: str, batch: Sequence[Prepared]) -> Tensor:
        """(batch, …): one of them."""
        return torch.from_numpy(np.stack([one.arrays[name] for one in batch]))

    def logits(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels)."""
        return self.as_logits(torch.as_tensor(self.network(*self.inputs(batch))))

    def as_logits(self, told: Tensor) -> Tensor:
        """What the network gave as (batch, labels) logits."""
        told = told[:, None] if told.ndim == 1 else told
        if self.told.gives == "probabilities":
            told = told.clamp(1e-7, 1 - 1e-7).log() if told.shape[1] > 1 and not self.card.multi_label else told.logit(1e-7)
        return told[:, 1:] - told[:, :1] if len(self.card.labels) == 1 and told.shape[1] == 2 else told


class BroughtScan(Brought, ScanModel):
    """One image in, one event."""

    def __init__(self, card: Card, device: str = "cpu") -> None:
        self.told = Told.of(card, ("picture",))
        self.side = self.told.side
        self.settle(card, PictureAutoencoder, device)

    def named_input(self, name: str, batch: Sequence[Prepared]) -> Tensor:
        """(batch, channels, side, side)."""
        del name
        return self.pictures(batch)

    def pictures(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, channels, side, side) as the network takes them, on the device."""
        greys = torch.from_numpy(np.stack([one.arrays["image"] for one in batch])).to(self.device).unsqueeze(1)
        scaled = standardise(greys) if self.told.mean is None else (greys.float() / 255.0 - self.told.mean) / self.told.std
        return scaled.expand(-1, self.told.channels, -1, -1)

    def features(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, 1, 64, 64): the pictures standardised, smaller."""
        greys = torch.from_numpy(np.stack([one.arrays["image"] for one in batch])).to(self.device).unsqueeze(1)
        return functional.adaptive_avg_pool2d(standardise(greys), AUTOENCODER_SIDE)


class BroughtLab(Brought, LabModel):
    """One window of points in, one event. ``config``: LabConfig's ``hours``; ``inputs`` any of series, statics, summary."""

    def __init__(self, card: Card, device: str = "cpu") -> None:
        if not card.analytes:
            raise BadCard(f"{card.name} names no analytes")
        self.told = Told.of(card, ("series", "statics", "summary", "described"))
        self.config = LabConfig(hours=self.told.hours, trees=int("described" in self.told.inputs))
        self.scale = Scale.of(card.analytes)
        self.curves = ()
        self.settle(card, lambda: RowAutoencoder(SUMMARY * len(card.analytes), 64, 24), device)


class BroughtNote(Brought, NoteModel):
    """One text in, one event."""

    def __init__(self, card: Card, device: str = "cpu") -> None:
        self.told = Told.of(card, ("tokens", "lengths"))
        self.config = NoteConfig(most_tokens=self.told.most_tokens)
        self.vocabulary = Vocabulary.read(card.folder / VOCABULARY_FILE)
        self.settle(card, lambda: RowAutoencoder(self.config.bag, 64, 32), device)

    def named_input(self, name: str, batch: Sequence[Prepared]) -> Tensor:
        """``tokens``: (batch, most_tokens) word numbers, 0 after the last; ``lengths``: (batch,)."""
        if name == "lengths":
            return torch.tensor([len(one.arrays["tokens"]) for one in batch])
        rows = np.zeros((len(batch), self.told.most_tokens), np.int64)
        for row, one in zip(rows, batch, strict=True):
            row[: len(one.arrays["tokens"])] = one.arrays["tokens"]
        return torch.from_numpy(rows)


_KINDS: Mapping[str, Callable[[Card, str], Any]] = {"scan": BroughtScan, "lab": BroughtLab, "note": BroughtNote}


def build(card: Card, device: str = "cpu") -> Brought:
    """The model of a card, its network not yet opened."""
    model: Brought = _KINDS[card.kind](card, device)
    return model
