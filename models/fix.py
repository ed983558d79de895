"""What the validation part fixes of a card: calibration, thresholds, gates."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.about import wish_of
from models.calibrate import (
    CHOICES,
    OPERATING_POINT,
    POINTS,
    Wish,
    abstention,
    error_gates,
    fit_classes,
    fit_line,
    shares,
    uncertainty_gate,
)
from models.card import UNCERTAINTY, Card
from models.figures import rightly
from models.fit import Part
from models.interface import Scores
from models.judge import probabilities, uncertainty
from models.model import Model
from stream.errors import Refused

#: Where more of validation lie between the operating points, that says nothing of any one of them.
MOST_BETWEEN = 0.05


def set_gates(model: Model, part: Part, gates: Mapping[str, Any]) -> None:
    """Puts the ``gates`` before the model, which hang on no weight, into its card; raises Refused when they let nothing pass."""
    model.card = replace(model.card, gates=gates)
    if all(model.refusal(prepared) for prepared in part.prepared):
        raise Refused("the gates refuse the whole validation part")


def fix(model: Model, part: Part, about: Mapping[str, Any]) -> Card:
    """The card with all else that the validation part fixes.

    ``about``: may name ``use_prevalence``, ``operating_point`` and ``uncertainty``.
    """
    wish = wish_of(about)
    model.card = asking(model.card, wish) if wish else model.card
    scores = _infer(model, part)
    passed = [not model.refusal(prepared) for prepared in part.prepared]
    errors = np.array([one.error for one in scores])[passed]
    card = replace(model.card, gates={**model.card.gates, **error_gates(errors)})
    logits = np.stack([one.logits for one in scores]).astype(np.float64)
    point = CHOICES[about.get("operating_point", "sensitive")]
    card = fix_point(card, part.truth, logits, about.get("use_prevalence"), point)
    if wish is None:
        return card
    usual = [one.error <= card.gates["reconstruction_error"] for one in scores]
    right = rightly(card, part.truth, probabilities(card, logits)) & passed & usual
    drawn = np.array([uncertainty(card, one.passes) for one in scores], np.float64)
    return replace(card, gates={**card.gates, UNCERTAINTY: uncertainty_gate(wish, drawn[right])})


def asking(card: Card, wish: Wish) -> Card:
    """The card with a gate by predictive uncertainty that has no limit yet, so that its model draws the passes."""
    return replace(card, gates={**card.gates, UNCERTAINTY: {"passes": wish.passes}})


def _infer(model: Model, part: Part) -> list[Scores]:
    size = model.batch_size
    return [one for at in range(0, len(part.prepared), size) for one in model.infer(part.prepared[at : at + size])]


def fix_point(
    card: Card,
    truth: NDArray[np.int64],
    logits: NDArray[np.float64],
    use_prevalence: float | None = None,
    point: str = OPERATING_POINT,
) -> Card:
    """The card with its calibration and the thresholds of its operating points; it judges by that of ``point``.

    It is calibrated for the prevalences of this part, a card of one finding for ``use_prevalence`` where that is told.
    """
    if card.exclusive:
        return _fix_classes(card, truth, logits)
    if card.multi_label:
        return _fix_labels(card, truth, logits, point)
    temperature, offset = fit_line(truth, logits[:, 0], use_prevalence)
    spoken = {card.labels[0]: use_prevalence or _prevalence(truth)}
    card = replace(card, temperature=temperature, offset=offset, calibrated_for=spoken)
    chance = probabilities(card, logits)[:, 0]
    points = {name: choose(truth, chance) for name, choose in POINTS.items()}
    thresholds, gates = {card.labels[0]: points[point]}, {**card.gates, **_between(points.values(), chance)}
    return replace(card, thresholds=thresholds, gates=gates, operating_points=points, operating_point=point)


def _between(points: Collection[float], chance: NDArray[np.float64]) -> dict[str, tuple[float, float]]:
    """Whom one operating point calls positive and another does not is uncertain, unless that is too many of (n,) ``chance``."""
    low, high = min(points), max(points)
    share = float(((chance >= low) & (chance < high)).mean())
    return {"uncertain_between": (low, high)} if low < high and share <= MOST_BETWEEN else {}


def _prevalence(truth: NDArray[np.int64]) -> float:
    """Of 1 among 0 and 1; one half where there is only one of them: then the weighted loss alone has decided."""
    share = float(truth.mean())
    return share if 0.0 < share < 1.0 else 0.5


def _fix_classes(card: Card, truth: NDArray[np.int64], logits: NDArray[np.float64]) -> Card:
    """A temperature, an offset a class, and the limit below which nothing is said."""
    temperature, offset = fit_classes(truth, logits)
    spoken = dict(zip(card.labels, shares(truth, len(card.labels)).tolist(), strict=True))
    card = replace(card, temperature=temperature, offset=offset, calibrated_for=spoken)
    limit = abstention(probabilities(card, logits))
    return replace(card, abstention=limit, operating_point="greatest probability, above the abstention limit")


def _fix_labels(card: Card, truth: NDArray[np.int64], logits: NDArray[np.float64], point: str) -> Card:
    """Each label calibrated by itself, each with its own threshold; operating points are named with their label."""
    lines = [fit_line(truth[:, place], logits[:, place], None) for place in range(len(card.labels))]
    card = replace(card, temperature=tuple(one for one, _ in lines), offset=tuple(one for _, one in lines))
    spoken = {label: _prevalence(truth[:, place]) for place, label in enumerate(card.labels)}
    card = replace(card, calibrated_for=spoken)
    chance = probabilities(card, logits)
    points = {
        f"{label}: {name}": choose(truth[:, place], chance[:, place])
        for place, label in enumerate(card.labels)
        for name, choose in POINTS.items()
    }
    thresholds = {label: points[f"{label}: {point}"] for label in card.labels}
    return replace(card, thresholds=thresholds, operating_points=points, operating_point=f"{point}, each label")
