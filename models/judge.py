"""From logits to a judgement: calibration, thresholds, what is uncertain. NumPy only; knows no network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from stream.judgement import Finding, Judgement


def probabilities(card: Card, logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """(…, labels) calibrated probabilities of (…, labels) logits: a sigmoid for one label, else a softmax over all."""
    scaled = np.asarray(logits, np.float64) / card.temperature + card.offset
    if not card.exclusive:
        return 1.0 / (1.0 + np.exp(-np.clip(scaled, -500, 500)))
    exponents = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def decide(card: Card, chances: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(labels,) which findings are positive: by threshold, or the argmax where it reaches the abstention limit."""
    if card.exclusive:
        best = np.arange(len(chances)) == chances.argmax()
        return np.asarray(best & (chances >= card.abstention))
    return np.asarray(chances >= _thresholds(card))


def _thresholds(card: Card) -> NDArray[np.float64]:
    """(labels,): each finding's threshold; where classes exclude each other, the abstention limit."""
    if card.exclusive:
        return np.full(len(card.labels), card.abstention)
    return np.array([card.thresholds.get(label, 0.5) for label in card.labels])


def judge(card: Card, logits: NDArray[np.floating[Any]], error: float, details: Mapping[str, Any]) -> Judgement:
    """The findings of one input. Uncertain: near the threshold, under the abstention limit, or rather unusual."""
    chances = probabilities(card, logits)
    positive, thresholds = decide(card, chances), _thresholds(card)
    findings = tuple(
        Finding(label=label, probability=float(chance), threshold=float(threshold), positive=bool(one))
        for label, chance, threshold, one in zip(card.labels, chances, thresholds, positive, strict=True)
    )
    unusual = error > float(card.gates.get("unusual_error", float("inf")))
    return Judgement(
        findings=findings,
        uncertain=bool(unusual or _close(card, chances, positive)),
        details={**details, "reconstruction_error": round(error, 6)},
    )


def _close(card: Card, chances: NDArray[np.float64], positive: NDArray[np.bool_]) -> bool:
    """Whether the decision hangs on little: no class reached the limit, or a logit within the margin of a threshold."""
    if card.exclusive:
        return not positive.any()
    margin = float(card.gates.get("uncertain_margin", 0.0))
    return bool((np.abs(_logit(chances) - _logit(_thresholds(card))) < margin).any())


def _logit(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(chances, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside / (1 - inside)))
