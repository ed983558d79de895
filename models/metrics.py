"""How good predictions are, in NumPy. ``truth``: (n,) class numbers; ``chance``: (n,) of the positive class, or (n, classes).

Calibration error: bins of equal mass (Nixon et al. 2019, arXiv:1904.01685), beside slope and intercept of a logistic
regression of the outcome on the logit (Cox 1958). A figure that is not defined is None.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.integer[Any]]
Real = NDArray[np.floating[Any]]

#: Prevalences for which predictive values are told.
PREVALENCES = (0.05, 0.20, 0.50)


def confusion(truth: Whole, told: Whole, classes: int) -> NDArray[np.int64]:
    """(classes, classes): row the true class, column the predicted one."""
    return np.bincount(truth * classes + told, minlength=classes * classes).reshape(classes, classes)


def share(part: float, whole: float) -> float | None:
    """``part / whole``, None of nothing."""
    return float(part / whole) if whole else None


def by_class(table: NDArray[np.int64], place: int) -> dict[str, float | None]:
    """Sensitivity, specificity, precision and F1 of one class against the others.

    Precision where nothing was called so: 0 if there was something to be found, as scikit-learn's ``zero_division=0`` has
    it, so that the worst case is neither left out of a mean nor of an interval.
    """
    hit = float(table[place, place])
    missed, wrong = float(table[place].sum()) - hit, float(table[:, place].sum()) - hit
    rest = float(table.sum()) - hit - missed - wrong
    return {
        "sensitivity": share(hit, hit + missed),
        "specificity": share(rest, rest + wrong),
        "precision": share(hit, hit + wrong) if hit + wrong or not missed else 0.0,
        "f1": share(2 * hit, 2 * hit + missed + wrong),
    }


def auroc(positive: NDArray[np.bool_], chance: Real) -> float | None:
    """Area under the ROC curve: the share of pairs in the right order, ties half (Mann-Whitney U)."""
    above, below = int(positive.sum()), int((~positive).sum())
    if not above or not below:
        return None
    _, place, count = np.unique(chance, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2.0)[place]
    return float((rank[positive].sum() - above * (above + 1) / 2.0) / (above * below))


def auprc(positive: NDArray[np.bool_], chance: Real) -> float | None:
    """Area under precision over recall as average precision: the steps' sum, without interpolation."""
    if not positive.any():
        return None
    order = np.argsort(-chance, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.flatnonzero(np.append(np.diff(chance[order]) != 0, True))  # the last place of each tied value
    precision, recall = hits[last] / (last + 1.0), hits[last] / hits[-1]
    return float(np.sum(np.diff(np.append(0.0, recall)) * precision))


def brier(truth: Whole, chance: Real) -> float:
    """Mean squared difference from what was; over classes summed, as Brier did, or of the positive class alone."""
    if chance.ndim == 1:
        return float(np.mean((chance - truth) ** 2))
    return float(np.mean(np.sum((chance - np.eye(chance.shape[1])[truth]) ** 2, axis=1)))


def calibration_error(right: NDArray[np.bool_], chance: Real, bins: int = 10) -> float:
    """ECE over ``bins`` of equal mass: mean distance between how often it was so and how likely it was called."""
    order = np.argsort(chance, kind="stable")
    pieces = [piece for piece in np.array_split(order, bins) if len(piece)]
    return float(sum(len(piece) * abs(right[piece].mean() - chance[piece].mean()) for piece in pieces) / len(order))


def calibration_line(positive: NDArray[np.bool_], chance: Real) -> tuple[float, float] | None:
    """Slope and intercept of the outcome's logit over the predicted one; 1 and 0 are perfect. None when not defined."""
    if positive.all() or not positive.any():
        return None
    inside = np.clip(chance.astype(np.float64), 1e-6, 1 - 1e-6)
    columns = np.stack([np.log(inside / (1 - inside)), np.ones(len(inside))], axis=1)
    line = np.array([1.0, 0.0])
    for _ in range(50):  # Newton's method; a ridge of 1e-6 keeps separable outcomes finite
        told = 1.0 / (1.0 + np.exp(-np.clip(columns @ line, -30, 30)))
        bend = columns.T @ (columns * (told * (1 - told))[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(bend, columns.T @ (positive - told))
        line = line + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-9:
            break
    return float(line[0]), float(line[1])


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> dict[str, float | None]:
    """PPV and NPV where ``prevalence`` of the inputs are positive (Bayes)."""
    hit, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    missed, rest = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
    return {"ppv": share(hit, hit + wrong), "npv": share(rest, rest + missed)}


def at_prevalences(sensitivity: float | None, specificity: float | None) -> dict[str, float | None]:
    """``ppv_at_0.05``, ``npv_at_0.05`` … for each of PREVALENCES; empty where one of the two is not defined."""
    if sensitivity is None or specificity is None:
        return {}
    told = {share: predictive_values(sensitivity, specificity, share) for share in PREVALENCES}
    return {f"{name}_at_{share:g}": value for share, both in told.items() for name, value in both.items()}


def least(*values: float | None) -> float | None:
    """The least of the values, None when one is not defined."""
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def mean(values: list[float | None]) -> float | None:
    """The mean of those values that are defined."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _balanced(row: dict[str, float | None]) -> dict[str, float | None]:
    """The figures of one class, and min(sensitivity, precision)."""
    return {**row, "min_se_ppv": least(row["sensitivity"], row["precision"])}


def at_threshold(truth: Whole, chance: Real, threshold: float) -> dict[str, Any]:
    """The figures of a yes-or-no question that change with the threshold; the positive class is number 1."""
    table = confusion(truth, (chance >= threshold).astype(np.int64), 2)
    yes, no = _balanced(by_class(table, 1)), by_class(table, 0)
    return {
        "accuracy": share(float(np.trace(table)), len(truth)),
        **yes,
        "f1_negative": no["f1"],
        "f1_macro": mean([yes["f1"], no["f1"]]),
        "confusion": table.tolist(),
    }


def two_classes(truth: Whole, chance: Real, threshold: float) -> dict[str, Any]:
    """Every figure of a yes-or-no question at ``threshold``; the positive class is number 1."""
    positive = truth == 1
    line, told = calibration_line(positive, chance), at_threshold(truth, chance, threshold)
    return {
        "n": len(truth),
        **told,
        "auroc": auroc(positive, chance),
        "auprc": auprc(positive, chance),
        "brier": brier(truth, chance),
        "ece": calibration_error(positive, chance),
        "calibration_slope": line[0] if line else None,
        "calibration_intercept": line[1] if line else None,
        "prevalence": share(float(positive.sum()), len(truth)),
        **at_prevalences(told["sensitivity"], told["specificity"]),
    }


def many_classes(truth: Whole, chance: Real, labels: tuple[str, ...]) -> dict[str, Any]:
    """Every figure where classes exclude each other, by argmax; macro means over the classes that occur."""
    table = confusion(truth, chance.argmax(axis=1), len(labels))
    classes = {
        label: {
            "n": int(table[place].sum()),
            **_balanced(by_class(table, place)),
            "auroc": auroc(truth == place, chance[:, place]),
            "auprc": auprc(truth == place, chance[:, place]),
        }
        for place, label in enumerate(labels)
    }
    occur = [row for row in classes.values() if row["n"]]
    macro = ("sensitivity", "specificity", "precision", "f1", "auroc", "auprc", "min_se_ppv")
    figures = {f"{name}_macro" if name == "f1" else name: mean([row[name] for row in occur]) for name in macro}
    return {
        "n": len(truth),
        "accuracy": share(float(np.trace(table)), len(truth)),
        **figures,
        "brier": brier(truth, chance),
        "ece": calibration_error(chance.argmax(axis=1) == truth, chance.max(axis=1)),
        "per_class": classes,
        "confusion": table.tolist(),
    }


def many_labels(truth: Whole, chance: Real, labels: tuple[str, ...], thresholds: Sequence[float]) -> dict[str, Any]:
    """Every figure where any number of labels may be true: (n, labels) of 0 and 1, each at its own threshold.

    ``accuracy`` is the mean over labels, ``exact_match`` the share of inputs with every label right; macro means are over
    the labels that occur. ``confusion``: one table of two classes a label.
    """
    classes = {label: two_classes(truth[:, place], chance[:, place], thresholds[place]) for place, label in enumerate(labels)}
    occur = [row for place, row in enumerate(classes.values()) if truth[:, place].any()]
    macro = ("sensitivity", "specificity", "precision", "f1", "auroc", "auprc", "min_se_ppv")
    figures = {f"{name}_macro" if name == "f1" else name: mean([row[name] for row in occur]) for name in macro}
    everyone = list(classes.values())
    return {
        "n": len(truth),
        "exact_match": float(np.mean(np.all((chance >= np.asarray(thresholds)) == (truth == 1), axis=1))),
        **{name: mean([row[name] for row in everyone]) for name in ("accuracy", "brier", "ece")},
        **figures,
        "per_class": {label: {name: one for name, one in row.items() if name != "confusion"} for label, row in classes.items()},
        "confusion": [row["confusion"] for row in everyone],
    }


def held_back(right: NDArray[np.bool_], held: NDArray[np.bool_]) -> dict[str, float | None]:
    """Shares of all inputs, of the errors and of the correct ones that are ``held``; (n,) each."""
    return {
        "held_back": share(float(held.sum()), len(held)),
        "held_back_of_errors": share(float((held & ~right).sum()), float((~right).sum())),
        "held_back_of_correct": share(float((held & right).sum()), float(right.sum())),
    }


def f1_of_texts(told: Sequence[str], truth: Sequence[str]) -> float | None:
    """Macro F1 with each text that was meant as a class; what was told besides is wrong."""
    names = sorted(set(truth))
    number = {name: place for place, name in enumerate(names)}
    right, said = (np.array([number.get(one, len(names)) for one in texts], np.int64) for texts in (truth, told))
    table = confusion(right, said, len(names) + 1)
    return mean([by_class(table, place)["f1"] for place in range(len(names))])
