"""A recurrent network (GRU) over an hourly window of results, age and sex; boosted trees over its description beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.autoencoder import RowAutoencoder
from models.card import BadCard, Card
from models.curves import parse, with_curves
from models.describe import SUMMARY, describe, summary
from models.dropout import LastDropout
from models.interface import Prepared
from models.model import Model
from models.trees import Trees
from models.window import Scale, hourly, place, series
from stream import facts as names
from stream.errors import Broken
from stream.judgement import Sample
from stream.points import decode_points

#: Age as the network takes it: (years - 60) / 20; age known; male; sex known.
STATICS = 4


@dataclass(frozen=True, kw_only=True)
class LabConfig:
    """``hours``: steps of the window; ``hidden``: of the GRU; ``trees``: boosted ones beside it, of ``depth``.

    ``recurrent``: how much the GRU's logit counts beside that of the trees; ``curves``: formulas of
    ``models.curves`` that the trees are told of too.
    """

    hours: int = 48
    hidden: int = 64
    dropout: float = 0.4
    trees: int = 0
    depth: int = 4
    recurrent: float = 1.0
    curves: Sequence[str] = ()


class LabNetwork(nn.Module):
    """GRU over hours; its last state, its mean and its greatest over time, with the statics, through one hidden layer.

    Where there is one output, boosted trees over the described window beside it: grown before the first step, left out
    while the rest is trained.
    """

    def __init__(self, config: LabConfig, analytes: int, outputs: int) -> None:
        super().__init__()
        hidden = config.hidden
        self.inward = nn.Sequential(nn.Linear(3 * analytes, hidden), nn.ReLU(), nn.Dropout(config.dropout))
        self.recurrent = nn.GRU(hidden, hidden, batch_first=True)
        self.head = nn.Sequential(
            LastDropout(config.dropout),
            nn.Linear(3 * hidden + STATICS, hidden),
            nn.ReLU(),
            LastDropout(config.dropout),
            nn.Linear(hidden, outputs),
        )
        self.recurrent_share = config.recurrent
        self.trees = Trees(config.trees, config.depth) if config.trees and outputs == 1 else None

    def forward(self, steps: Tensor, statics: Tensor, described: Tensor) -> Tensor:
        """(B, hours, 3 * analytes), (B, STATICS), (B, analytes and curves, DESCRIBED) → (B, outputs) logits."""
        states, _ = self.recurrent(self.inward(steps))  # (B, hours, hidden)
        pooled = torch.cat([states[:, -1], states.mean(dim=1), states.amax(dim=1), statics], dim=1)
        logits = torch.as_tensor(self.head(pooled))
        if self.trees is None or self.training:
            return logits
        grown: Tensor = self.trees(torch.cat([described.flatten(1), statics], dim=1))
        return self.recurrent_share * logits + grown[:, None]


class LabModel(Model):
    """One window of points in, one event."""

    batch_size = 256

    def __init__(self, card: Card, device: str = "cpu") -> None:
        if not card.analytes:
            raise BadCard(f"{card.name} names no analytes")
        self.config = LabConfig(**card.config)
        self.scale = Scale.of(card.analytes)
        self.curves = parse(self.config.curves, [one.name for one in card.analytes])
        width = len(card.analytes)
        super().__init__(card, self.make(card, self.config), RowAutoencoder(SUMMARY * width, 64, 24), device)

    def make(self, card: Card, config: LabConfig) -> nn.Module:
        """The network, weights fresh."""
        return LabNetwork(config, len(card.analytes), len(card.labels))

    def read(self, sample: Sample) -> Prepared:
        """``cell``, ``value``: (points,) as ``models.window`` places them; ``statics``: (STATICS,)."""
        try:
            points = decode_points(sample.contents[0])
        except (ValueError, IndexError) as error:
            raise Broken("not a window of points") from error
        placed = place(points, self.scale, self.config.hours)
        column, hour = np.divmod(placed.cell, self.config.hours)
        measured = np.bincount(column, minlength=len(self.card.analytes)) > 0
        details = {
            "points": len(points),
            "hours_with_points": int((np.bincount(hour) > 0).sum()),
            "analytes_measured": int(measured.sum()),
            "implausible_points": placed.implausible,
            "unknown_points": placed.unknown,
            "outside_points": placed.outside,
            "refused_points": list(sample.facts.get(names.REFUSED_POINTS, ())),
            "missing_required": self._missing(measured, sample.facts),
        }
        return Prepared(arrays={"cell": placed.cell, "value": placed.value, "statics": statics(sample.facts)}, details=details)

    def expand(self, batch: Sequence[Prepared]) -> list[Prepared]:
        """``series``: (hours, 3 * analytes); ``described``: (analytes and curves, DESCRIBED), ``summary``: for the autoencoder."""
        cells, values = [one.arrays["cell"] for one in batch], [one.arrays["value"] for one in batch]
        window = hourly(cells, values, self.scale, self.config.hours)
        described = describe(with_curves(window, self.scale, self.curves))
        made = {"series": series(window), "described": described, "summary": summary(described[:, : len(self.scale.mean)])}
        return [
            replace(one, arrays={**one.arrays, **{name: rows[place] for name, rows in made.items()}})
            for place, one in enumerate(batch)
        ]

    def _missing(self, measured: NDArray[np.bool_], facts: Mapping[str, Any]) -> list[str]:
        """Required analytes without a value, each with the reason: a lost feed is not the same as not measured."""
        dead = set(facts.get(names.NOT_CONNECTED, ()))
        absent = [one for one, there in zip(self.card.analytes, measured, strict=True) if one.required and not there]
        return [f"{one.name}: {'not connected' if dead & set(one.codes) else 'not measured'}" for one in absent]

    def refusal(self, prepared: Prepared) -> str:
        """No points, a required analyte absent, or too little to judge."""
        details, gates = prepared.details, self.card.gates
        if not details["analytes_measured"]:
            return "no points of any analyte that this model takes"
        if details["missing_required"]:
            return "required and absent: " + ", ".join(details["missing_required"])
        for name in ("analytes_measured", "hours_with_points"):
            if details[name] < gates.get(f"least_{name}", 0):
                return f"too little: {name} {details[name]}, at least {gates[f'least_{name}']} are needed"
        return ""

    def logits(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, labels)."""
        described = self._stack(batch, "described") if self.config.trees else torch.empty(len(batch), 0, device=self.device)
        return torch.as_tensor(self.network(self._stack(batch, "series"), self._stack(batch, "statics"), described))

    def features(self, batch: Sequence[Prepared]) -> Tensor:
        """(batch, SUMMARY * analytes)."""
        return self._stack(batch, "summary")

    def _stack(self, batch: Sequence[Prepared], name: str) -> Tensor:
        return torch.from_numpy(np.stack([prepared.arrays[name] for prepared in batch])).to(self.device)


def statics(facts: Mapping[str, Any]) -> NDArray[np.float32]:
    """(STATICS,) from the facts; completed years, so that one patient gives the same number over every feed."""
    age, sex = facts.get(names.AGE_YEARS), facts.get(names.SEX)
    years = 0.0 if age is None else (float(int(age)) - 60.0) / 20.0
    return np.array([years, age is not None, sex == "male", sex in ("male", "female")], np.float32)


def build(card: Card, device: str = "cpu") -> LabModel:
    """The model of a card, weights not yet loaded."""
    return LabModel(card, device)
