"""Scored inputs → how well a card does on them: at its threshold, with intervals, by group of patients. Knows no network."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import intervals
from models.card import Card
from models.metrics import at_threshold, held_back, many_classes, many_labels, share, two_classes
from models.score import Scored

#: The figures of each group of patients.
BY_GROUP = (
    *("n", "accuracy", "sensitivity", "specificity", "precision", "f1", "f1_macro"),
    *("auroc", "auprc", "min_se_ppv", "brier", "ece"),
)


def figures(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """Every figure over the inputs that could be scored, at the card's threshold; without any, only how many: 0."""
    kept = [one for one in scored if one.chance is not None]
    if not kept:
        return {"n": 0}
    found = _measure(card, kept)(np.arange(len(kept)))
    if card.exclusive:
        return found
    told = thresholds(card)
    return {**found, "threshold": told[0] if len(told) == 1 else told, "operating_point": card.operating_point}


def _measure(card: Card, kept: Sequence[Scored]) -> Callable[[NDArray[np.intp]], dict[str, Any]]:
    """What gives every figure over those of ``kept`` at some places."""
    truth, chance = np.array([one.truth for one in kept]), np.array([one.chance for one in kept])
    held = np.array([one.held for one in kept])
    marks = {name: np.array([one.doubts[name] for one in kept]) for name in (kept[0].doubts if kept else ())}
    right = rightly(card, truth, chance) if kept else held
    return lambda at: {
        **plain_figures(card, truth[at], chance[at]),
        **held_back(right[at], held[at]),
        "marked_by": {name: held_back(right[at], mark[at]) for name, mark in marks.items()},
    }


def thresholds(card: Card) -> list[float]:
    """Each label's, one half where the card has none."""
    return [card.thresholds.get(label, 0.5) for label in card.labels]


def rightly(card: Card, truth: NDArray[np.integer[Any]], chance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether what is told is so: the likeliest class, the finding at its threshold, or every label at its own."""
    if card.exclusive:
        return np.asarray(chance.argmax(axis=1) == truth)
    return np.asarray(((chance >= np.array(thresholds(card))) == (truth.reshape(len(chance), -1) == 1)).all(axis=1))


def plain_figures(card: Card, truth: NDArray[np.integer[Any]], chance: NDArray[np.float64]) -> dict[str, Any]:
    """The figures of (n,) class numbers or (n, labels) of 0 and 1, and (n, labels) probabilities."""
    if card.exclusive:
        abstained = float(np.mean(chance.max(axis=1) < card.abstention))
        return {**many_classes(truth, chance, card.labels), "abstained": abstained}
    points = _points(card, truth.reshape(len(chance), -1), chance)
    if card.multi_label:
        return {**many_labels(truth, chance, card.labels, thresholds(card)), "operating_points": points}
    return {**two_classes(truth, chance[:, 0], thresholds(card)[0]), "operating_points": points}


def _points(card: Card, truth: NDArray[np.integer[Any]], chance: NDArray[np.float64]) -> dict[str, Any]:
    """The figures that change with the threshold at each named one; where several labels may be true it is named with its own."""
    found = {}
    for name, threshold in card.operating_points.items():
        label = name.rpartition(": ")[0] if card.multi_label else card.labels[0]
        if label in card.labels:
            place = card.labels.index(label)
            told = at_threshold(truth[:, place], chance[:, place], threshold)
            found[name] = {figure: value for figure, value in told.items() if figure != "confusion"}
    return found


def with_intervals(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """``figures``, and ``intervals``: of each number the 95 % interval over draws of patients."""
    kept = [one for one in scored if one.chance is not None]
    found = intervals(_measure(card, kept), [one.patient or one.id for one in kept])
    return {**figures(card, scored), "intervals": found}


def report(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """Figures over all inputs, over those that every gate lets pass, and what the gates refuse."""
    accepted = [one for one in scored if not one.refusal]
    reasons = Counter(one.refusal.partition(":")[0] for one in scored if one.refusal)
    return {
        "model": card.name,
        "version": card.version,
        "model_digest": card.digest,
        **with_intervals(card, scored),
        "unreadable": sum(one.chance is None for one in scored),
        "coverage": share(len(accepted), len(scored)),
        "rejected_by": dict(reasons.most_common()),
        "accepted": with_intervals(card, accepted),
        "groups": by_group(card, scored),
    }


def by_group(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """The main figures of each group of patients, all its inputs, with their intervals."""
    found = {}
    for group in sorted({group for one in scored for group in one.groups}):
        told = with_intervals(card, [one for one in scored if group in one.groups])
        between = {name: ends for name, ends in told["intervals"].items() if name in BY_GROUP}
        found[group] = {**{name: told.get(name) for name in BY_GROUP}, "intervals": between}
    return found
