"""Which results spoke for a finding: each analyte and each hour by Shapley sampling, stretches of hours by leaving them out.

Model-agnostic: points are taken away from the window and the model reads what is left, so that trees, recurrent networks and
whatever a card brings along are asked alike.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from captum.attr import ShapleyValueSampling
from numpy.typing import NDArray
from torch import Tensor

from models.question import Question
from stream import facts as names
from stream.explanation import JSON, Explanation
from stream.judgement import Sample
from stream.points import decode_points, encode_points

#: Orders in which things are taken away; more of them make weights steadier and slower.
ORDERS = 8
#: Hours of a stretch in the matrix.
STRETCH = 4
#: Facts that a lab model reads beside the results.
FACTS = (names.AGE_YEARS, names.SEX)


def explain_lab(question: Question) -> Explanation:
    """``analytes``, ``facts``: name → weight; ``hours``: a weight each; ``matrix``: analyte → a weight for each stretch."""
    card = question.model.card
    points = decode_points(question.sample.contents[0])
    window = Taken(question, points, card.window.length_hours if card.window else 48)
    facts = [fact for fact in FACTS if question.sample.facts.get(fact) is not None]
    present = sorted({int(one) for one in window.analyte if one >= 0})
    weights = shapley(lambda kept: window.score_parts(kept, present, facts), len(present) + len(facts))
    hours = sorted({int(one) for one in window.hour[window.analyte >= 0]})
    by_hour = shapley(lambda kept: window.score_hours(kept, hours), len(hours))
    told = {
        "label": question.label,
        "analytes": {card.analytes[one].name: _short(weight) for one, weight in zip(present, weights, strict=False)},
        "facts": {fact: _short(weight) for fact, weight in zip(facts, weights[len(present) :], strict=True)},
        "hours": [_short(dict(zip(hours, by_hour, strict=True)).get(hour, 0.0)) for hour in range(window.hours)],
        "stretch_hours": STRETCH,
        "matrix": {card.analytes[one].name: row for one, row in window.matrix(present).items()},
    }
    method = "shapley-sampling"
    return Explanation(kind="results", label=question.label, method=method, media_type=JSON, body=json.dumps(told).encode())


class Taken:
    """A window of which points can be taken away."""

    def __init__(self, question: Question, points: NDArray[np.void], length_hours: float) -> None:
        self.question, self.points, self.hours = question, points, int(length_hours)
        place = {code.encode(): number for number, one in enumerate(question.model.card.analytes) for code in one.codes}
        self.analyte = np.array([place.get(bytes(code), -1) for code in points["code"]], np.int64)
        inside = (points["minute"] >= 0) & (points["minute"] < self.hours * 60)
        self.analyte[~inside] = -1
        self.hour = np.floor(points["minute"] / 60).astype(np.int64)

    def sample(self, kept: NDArray[np.bool_], without: Sequence[str] = ()) -> Sample:
        """Of the points only those ``kept``, of the facts all but ``without``."""
        facts = {key: value for key, value in self.question.sample.facts.items() if key not in without}
        return replace(self.question.sample, contents=(encode_points(self.points[kept]),), facts=facts)

    def score_parts(self, kept: NDArray[np.bool_], present: Sequence[int], facts: Sequence[str]) -> NDArray[np.float64]:
        """(n, analytes then facts) what is kept in each of n windows → (n,) scores."""
        samples = []
        for row in kept:
            gone = [one for one, there in zip(present, row, strict=False) if not there]
            without = [fact for fact, there in zip(facts, row[len(present) :], strict=True) if not there]
            samples.append(self.sample(~np.isin(self.analyte, gone), without))
        return self.question.score(samples)

    def score_hours(self, kept: NDArray[np.bool_], hours: Sequence[int]) -> NDArray[np.float64]:
        """(n, hours) which hours are kept in each of n windows → (n,) scores."""
        listed = np.array(hours)
        return self.question.score([self.sample(~np.isin(self.hour, listed[~row])) for row in kept])

    def matrix(self, present: Sequence[int]) -> dict[int, list[float]]:
        """Analyte → what the score loses without its results of each stretch of hours."""
        stretches = -(-self.hours // STRETCH)
        cells = [
            (one, stretch, here)
            for one in present
            for stretch in range(stretches)
            if (here := (self.analyte == one) & (self.hour // STRETCH == stretch)).any()
        ]
        whole = self.sample(np.ones(len(self.points), bool))
        scores = self.question.score([whole, *[self.sample(~here) for _, _, here in cells]])
        told = {one: [0.0] * stretches for one in present}
        for (one, stretch, _), score in zip(cells, scores[1:], strict=True):
            told[one][stretch] = _short(scores[0] - score)
        return told


def shapley(score: Callable[[NDArray[np.bool_]], NDArray[np.float64]], things: int) -> list[float]:
    """Each thing's mean part in the score over ORDERS orders of taking them away (Strumbelj and Kononenko 2010), by Captum."""
    if not things:
        return []

    def forward(kept: Tensor) -> Tensor:
        return torch.from_numpy(score(kept.numpy() > 0.5))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the same window is explained the same way again
        found: Any = ShapleyValueSampling(forward).attribute(
            torch.ones(1, things), baselines=0.0, n_samples=ORDERS, perturbations_per_eval=64
        )
    return [float(one) for one in found[0]]


def _short(weight: float) -> float:
    return round(float(weight), 4)
