"""The card before there are weights: its labels, what a person wrote of it, what the training part decides."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from models.card import VOCABULARY_FILE, Card, Window
from models.plan import Parts, Plan
from models.recipe import Recipe
from models.truth import truths
from stream.errors import Refused

#: Labels that mean that there is nothing to be found.
NEGATIVE = frozenset({"0", "no", "none", "false", "normal", "negative", "healthy", "survival", "survived"})


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
    return replace(card, window=Window(**about["window"])) if "window" in about else card


def with_labels(card: Card, parts: Parts, about: Mapping[str, Any]) -> Card:
    """The card with its classes and findings; raises Refused for a set of several labels with only one.

    Raises Refused too where ``use_prevalence`` is told of several findings.
    """
    card = _labelled(card, parts, about)
    if len(card.labels) > 1 and "use_prevalence" in about:
        raise Refused("use_prevalence is of one finding; several are calibrated for the prevalences of the validation part")
    return card


def _labelled(card: Card, parts: Parts, about: Mapping[str, Any]) -> Card:
    if parts.multi_label:
        labels = tuple(sorted({label for example in parts.every for label in example.labels or ()}))
        if len(labels) < 2:
            raise Refused("a set of several labels needs at least two: name one with and without it in a column label")
        return replace(card, classes=labels, labels=labels, multi_label=True)
    classes = _classes(parts, about.get("positive"))
    labels = (about.get("finding", classes[1].lower()),) if len(classes) == 2 else classes
    return replace(card, classes=classes, labels=labels)


def _classes(parts: Parts, positive: str | None) -> tuple[str, ...]:
    """The labels; of two the one to be found stands last: ``positive``, else the one that is no word for nothing."""
    labels = sorted({example.label for example in parts.every})
    if len(labels) == 2:
        found = positive.casefold() if positive else None
        labels.sort(key=lambda label: (label.casefold() == found, label.casefold() not in NEGATIVE, label))
    return tuple(labels)


def prevalence(card: Card, parts: Parts) -> dict[str, float]:
    """Of each finding in the training part."""
    truth = truths(card, parts.train)
    if card.multi_label:
        return dict(zip(card.labels, truth.mean(axis=0).tolist(), strict=True))
    count = np.bincount(truth, minlength=len(card.classes)) / len(truth)
    return {label: float(count[-1 if not card.exclusive else place]) for place, label in enumerate(card.labels)}
