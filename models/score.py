"""Every labelled input as a model sees it: its probabilities at the card's own calibration, and what the gates would say."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.example import Example
from models.groups import groups_of
from models.interface import Prepared
from models.judge import doubts, probabilities, uncertainty
from models.model import Model
from models.site import Site
from models.truth import truth_of
from stream.errors import Rejected


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One labelled input as the model sees it.

    ``truth``: as ``models.truth`` has it; ``patient``: what the split keeps together; ``groups``: sex, age band, care unit;
    ``chance``: (labels,) calibrated, None when there was nothing to compute with; ``error``: the autoencoder's; ``uncertainty``: by
    dropout, None where the card does not ask for it; ``refusal``: what a gate says, empty when all let it pass; ``doubts``: what
    each gate says that marks uncertain, whether or not another refuses.
    """

    id: str
    label: str
    truth: NDArray[np.int64]
    patient: str = ""
    groups: tuple[str, ...] = ()
    chance: NDArray[np.float64] | None = None
    error: float = math.nan
    uncertainty: float | None = None
    refusal: str = ""
    doubts: Mapping[str, bool] = field(default_factory=dict)

    @property
    def uncertain(self) -> bool:
        """Whether any gate after the model marks it."""
        return any(self.doubts.values())

    @property
    def held(self) -> bool:
        """Whether it would be held back: refused by a gate or marked uncertain."""
        return bool(self.refusal) or self.uncertain


def score(model: Model, examples: Iterable[Example]) -> Iterator[Scored]:
    """Every example scored, one batch in memory at a time."""
    waiting: list[tuple[Scored, Prepared]] = []
    for example in examples:
        sample = example.open()
        truth = truth_of(model.card, example)
        one = Scored(id=example.id, label=example.label, truth=truth, patient=example.group, groups=groups_of(sample.facts))
        try:
            waiting.append((one, model.read(sample)))
        except Rejected as refusal:
            yield replace(one, refusal=refusal.reason)
        if len(waiting) == model.batch_size:
            yield from _scored(model, waiting)
            waiting = []
    yield from _scored(model, waiting)


def _scored(model: Model, batch: Sequence[tuple[Scored, Prepared]]) -> Iterator[Scored]:
    card = replace(model.card, site=Site())  # the card itself is measured
    told = model.infer([prepared for _, prepared in batch])
    for (one, prepared), scores in zip(batch, told, strict=True):
        chance = probabilities(card, scores.logits)
        refusal, spread = model.refusal(prepared) or model.refusal_after(scores), uncertainty(card, scores.passes)
        marks = doubts(card, chance, scores.error, spread)
        yield replace(one, chance=chance, error=scores.error, uncertainty=spread, refusal=refusal, doubts=marks)


def write_scores(card: Card, scored: Iterable[Scored], path: Path) -> None:
    """One row an input; probabilities in columns named as the findings."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", *card.labels, "reconstruction_error", "predictive_uncertainty", "refusal", "uncertain"])
        for one in scored:
            chances = [""] * len(card.labels) if one.chance is None else [f"{chance:.9f}" for chance in one.chance]
            drawn = "" if one.uncertainty is None else f"{one.uncertainty:.6g}"
            writer.writerow([one.id, one.label, *chances, f"{one.error:.6g}", drawn, one.refusal, int(one.uncertain)])
