"""What the validation part fixes: temperature and offset, operating points, the gate after the model. NumPy only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.judge import softmax
from models.metrics import by_class, confusion, least

Real = NDArray[np.floating[Any]]
Whole = NDArray[np.integer[Any]]

#: Of the operating point that is active: positives found on validation.
SENSITIVITY = 0.95
#: Shares of accepted validation inputs above which an input is unusual (uncertain), or unlike anything seen (rejected).
UNUSUAL, UNLIKE = 0.95, 0.99
#: Share of validation inputs on which a model whose classes exclude each other says nothing.
ABSTAINED = 0.02
#: A binary finding is uncertain within this many logits of its threshold.
MARGIN = 0.25
#: Ridges on the slope (towards 1) and on each class's offset (towards 0): normal priors of variance 1 / ridge. An offset's 3 is
#: the least that lost no macro-F1 over ten folds of 1,084 notes; classes of 80, 15 and 5 % lose next to nothing by it.
SLOPE_RIDGE, OFFSET_RIDGE = 0.5, 3.0
#: The least slope: a temperature of 50.
LEAST_SLOPE = 0.02


def fit_line(truth: Whole, logits: Real, prevalence: float | None) -> tuple[float, float]:
    """Temperature and offset for a binary logit, by logistic regression (Platt 1999).

    Examples are weighted so that ``prevalence`` of them are positive; None: as they are.
    """
    share = float(np.mean(truth))
    if share in (0.0, 1.0):
        return 1.0, 0.0
    wanted = share if prevalence is None else prevalence
    weight = np.where(truth == 1, wanted / share, (1 - wanted) / (1 - share))
    columns = np.stack([logits, np.ones(len(logits))], axis=1).astype(np.float64)
    line = np.array([1.0, 0.0])
    for _ in range(100):  # Newton's method; the ridge keeps a perfectly separated validation part finite
        told = 1.0 / (1.0 + np.exp(-np.clip(columns @ line, -30, 30)))
        slope = columns.T @ (weight * (truth - told)) - 0.5 * (line - np.array([1.0, 0.0]))
        bend = columns.T @ (columns * (weight * told * (1 - told))[:, None]) + 0.5 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        line = line + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-10:
            break
    return 1.0 / max(float(line[0]), 0.05), float(line[1])


def fit_classes(truth: Whole, logits: Real) -> tuple[float, tuple[float, ...]]:
    """Temperature t and an offset b for each class: the likeliest softmax(z / t + b) of (n, classes) logits z.

    Bias-corrected temperature scaling (Alexandari, Kundaje and Shrikumar 2020, arXiv:1901.06852) with ridges, so that a
    class of few examples stays near offset 0. The probabilities then hold where classes are as frequent as in ``truth``.
    """
    usual = np.eye(1, 1 + logits.shape[1])[0]  # slope 1, offsets 0
    ridge = np.array([SLOPE_RIDGE, *[OFFSET_RIDGE] * logits.shape[1]])
    hits = np.eye(logits.shape[1])[truth]
    line = np.zeros(len(usual))
    for _ in range(500):  # Newton's method; no logit moves by more than 2 in a step, so that it does not overshoot
        told = softmax(line[0] * logits + line[1:])
        slope = np.append(((hits - told) * logits).sum(), (hits - told).sum(axis=0)) - ridge * (line - usual)
        step = np.linalg.solve(_bend(told, logits) + np.diag(ridge), slope)
        line = line + step / max(1.0, float(np.abs(step[0] * logits + step[1:]).max()) / 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return 1.0 / max(float(line[0]), LEAST_SLOPE), tuple(float(one) for one in line[1:])


def _bend(told: Real, logits: Real) -> Real:
    """(1 + classes, 1 + classes): how the likelihood of ``told`` = softmax(slope * logits + offsets) bends, downwards."""
    away = told * (logits - (told * logits).sum(axis=1, keepdims=True))
    across = away.sum(axis=0)
    offsets = np.diag(told.sum(axis=0)) - told.T @ told
    return np.block([[(away * logits).sum(), across[None]], [across[:, None], offsets]])


def shares(truth: Whole, classes: int) -> NDArray[np.float64]:
    """(classes,) how frequent each is, one example of each added (Laplace's rule of succession): none is impossible."""
    return np.asarray((np.bincount(truth, minlength=classes) + 1.0) / (len(truth) + classes))


def sensitive_threshold(truth: Whole, chance: Real, sensitivity: float = SENSITIVITY) -> float:
    """The greatest threshold that finds ``sensitivity`` of the positives, halfway to the next lower probability."""
    positive = np.sort(chance[truth == 1])
    if not len(positive):
        return 0.5
    lowest = float(positive[int((1 - sensitivity) * len(positive) + 1e-9)])
    below = chance[chance < lowest]
    return (lowest + float(below.max())) / 2 if len(below) else lowest / 2


def balanced_threshold(truth: Whole, chance: Real) -> float:
    """The threshold with the greatest min(sensitivity, precision)."""
    candidates = np.unique(np.quantile(chance, np.linspace(0.0, 1.0, 201)))

    def balance(threshold: float) -> float:
        row = by_class(confusion(truth, (chance >= threshold).astype(np.int64), 2), 1)
        return least(row["sensitivity"], row["precision"]) or 0.0

    return float(max(candidates, key=balance))


OPERATING_POINT = f"sensitivity at least {SENSITIVITY:g} on validation"
BALANCED_POINT = "greatest min(sensitivity, precision) on validation"
#: Operating point → what chooses its threshold from truth and probabilities.
POINTS: Mapping[str, Callable[[Whole, Real], float]] = {OPERATING_POINT: sensitive_threshold, BALANCED_POINT: balanced_threshold}
#: What ``operating_point`` of ``about.json`` may say → the point whose threshold the card judges by.
CHOICES = {"sensitive": OPERATING_POINT, "balanced": BALANCED_POINT}


def choice_of(point: str) -> str | None:
    """The word for what a card says that it judges by, of several labels too; None where that is no point of ours."""
    return next((choice for choice, name in CHOICES.items() if point.startswith(name)), None)


def abstention(chance: Real) -> float:
    """The limit under which the greatest probability of ABSTAINED of the inputs lies."""
    return float(np.quantile(chance.max(axis=1), ABSTAINED))


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A gate by predictive uncertainty: ``passes`` with dropout; ``false_alarms``: the share of right answers that it may mark."""

    passes: int = 32
    false_alarms: float = 0.05


def uncertainty_gate(wish: Wish, right: Real) -> dict[str, float]:
    """The gate as a card holds it: its limit from the uncertainties of the inputs that were judged rightly."""
    limit = float(np.quantile(right, 1.0 - wish.false_alarms)) if len(right) else 0.0
    return {"passes": wish.passes, "limit": limit, "false_alarms": wish.false_alarms}


def error_gates(errors: Real) -> dict[str, float]:
    """Limits for the reconstruction error, of accepted validation inputs."""
    return {
        "unusual_error": float(np.quantile(errors, UNUSUAL)),
        "reconstruction_error": float(np.quantile(errors, UNLIKE)),
        "uncertain_margin": MARGIN,
    }
