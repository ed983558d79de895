"""What the validation part fixes: temperature and offset, operating points, the gate after the model. NumPy only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def fit_temperature(truth: Whole, logits: Real) -> float:
    """The temperature with the least cross-entropy over (n, classes) logits (Guo et al. 2017, arXiv:1706.04599)."""

    def entropy(temperature: float) -> float:
        scaled = logits / temperature
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(truth)), truth]))

    candidates = np.exp(np.linspace(np.log(0.2), np.log(5.0), 200))
    return float(min(candidates, key=entropy))


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


def abstention(chance: Real) -> float:
    """The limit under which the greatest probability of ABSTAINED of the inputs lies."""
    return float(np.quantile(chance.max(axis=1), ABSTAINED))


def error_gates(errors: Real) -> dict[str, float]:
    """Limits for the reconstruction error, of accepted validation inputs."""
    return {
        "unusual_error": float(np.quantile(errors, UNUSUAL)),
        "reconstruction_error": float(np.quantile(errors, UNLIKE)),
        "uncertain_margin": MARGIN,
    }
