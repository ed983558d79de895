"""The card before there are weights: its labels, what a person wrote of it, what the training part decides."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from models.about import ABOUT_FILE
from models.card import VOCABULARY_FILE, Card, Window
from models.plan import Parts, Plan
from models.recipe import Recipe
from models.truth import truths
from stream.errors import Refused

#: Labels that mean that there is nothing to be found.
NEGATIVE = frozenset(
    {"0", "no", "none", "false", "absent", "negative", "neg", "no finding", "normal", "healthy", "unaffected", "benign"}
    | {"control", "controls", "survival", "survived", "survivor", "alive", "other"}
)


def draft(plan: Plan, parts: Parts, about: Mapping[str, Any], recipe: Recipe) -> Card:
    """The card; a vocabulary is written beside it. Of networks that make no finding it has no labels."""
    config = recipe.complete(about.get("config", {}), parts.train)
    drafted = recipe.draft(config, [example.open() for example in parts.train], plan.data)
    if drafted.vocabulary:
        drafted.vocabulary.write(plan.out / VOCABULARY_FILE)
    card = Card(
        name=about.get("name", plan.out.name),
        version=about.get("version", "1.0.0"),
        kind=plan.kind,
        architecture=recipe.architecture,
        task=about.get("task", ""),
        config=drafted.config,
        classes=(),
        labels=(),
        intended_use=about.get("intended_use", {}),
        sources=tuple(about.get("sources", ())),
        licence=about.get("licence", ""),
        notes=tuple(about.get("notes", ("No intended use was stated.",))),
        folder=plan.out,
    )
    card = replace(card, **drafted.card)
    return _with_window(card, Window(**about["window"])) if "window" in about else card


def _with_window(card: Card, window: Window) -> Card:
    """The card with the window that a person wants; raises Refused when the network reads fewer or more hours."""
    hours = card.config.get("hours", window.length_hours)
    if hours != window.length_hours:
        raise Refused(f"window has {window.length_hours:g} hours, config {hours:g}: say both alike", where=ABOUT_FILE)
    return replace(card, window=window)


def with_labels(card: Card, parts: Parts, about: Mapping[str, Any]) -> Card:
    """The card with its classes and findings; raises Refused for a set of several labels with only one.

    Raises Refused too where ``use_prevalence`` is told of several findings, and ``operating_point`` of classes without thresholds.
    """
    card = _labelled(card, parts, about)
    if len(card.labels) > 1 and "use_prevalence" in about:
        raise Refused("use_prevalence is of one finding; several are calibrated for the prevalences of the validation part")
    if card.exclusive and "operating_point" in about:
        raise Refused("operating_point chooses a threshold; of classes that exclude each other the likeliest is told")
    return card


def _labelled(card: Card, parts: Parts, about: Mapping[str, Any]) -> Card:
    """``positive`` and ``finding`` are of two labels: Refused elsewhere, and where nobody said which of the two is to be found."""
    labels = tuple(sorted({label for one in parts.every for label in (one.labels or () if parts.multi_label else (one.label,))}))
    if parts.multi_label and len(labels) < 2:
        raise Refused("a set of several labels needs at least two: name one with and without it in a column label")
    if len(labels) == 2 and not parts.multi_label:
        classes = _negative_first(labels, about.get("positive"))
        return replace(card, classes=classes, labels=(about.get("finding", classes[1].lower()),))
    for name in ("positive", "finding"):
        if name in about:
            raise Refused(f"{name} is said where there are two labels that exclude each other: here are {', '.join(labels)}")
    return replace(card, classes=labels, labels=labels, multi_label=parts.multi_label)


def _negative_first(labels: Sequence[str], positive: str | None) -> tuple[str, str]:
    """The two labels, the one to be found last: ``positive``, else the one that is no word for nothing."""
    if positive is None:
        found = [label for label in labels if label.casefold() not in NEGATIVE]
        reason = f"which of {labels[0]} and {labels[1]} is to be found? Say positive in {ABOUT_FILE}"
    else:
        found = [label for label in labels if label.casefold() == positive.strip().casefold()]
        reason = f"positive {positive} is none of the labels {labels[0]} and {labels[1]}"
    if len(found) != 1:
        raise Refused(reason)
    return next(label for label in labels if label != found[0]), found[0]


def prevalence(card: Card, parts: Parts) -> dict[str, float]:
    """Of each finding in the training part."""
    truth = truths(card, parts.train)
    if card.multi_label:
        return dict(zip(card.labels, truth.mean(axis=0).tolist(), strict=True))
    count = np.bincount(truth, minlength=len(card.classes)) / len(truth)
    return {label: float(count[-1 if not card.exclusive else place]) for place, label in enumerate(card.labels)}
