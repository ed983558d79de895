"""How each kind of model is trained: what a kind knows that the training loop does not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.model import Model, Prepared
from models.split import Split
from models.words import Vocabulary
from stream.errors import Refused
from stream.judgement import Sample

Augment = Callable[[Prepared, np.random.Generator], Prepared]
Start = Callable[[Model, Sequence[Prepared], NDArray[np.int64]], None]

#: Kind → the module that has its RECIPE.
RECIPES = {"scan": "models.recipe_scan", "lab": "models.recipe_lab", "note": "models.recipe_note"}
#: Kind → the networks of ``models.textbook`` for it.
TEXTBOOK = {"scan": ("cnn3", "cnn2", "lenet"), "lab": ("lstm128", "rnn")}
#: Kind → what a textbook network's config says otherwise.
PLAIN: Mapping[str, Mapping[str, Any]] = {"lab": {"trees": 0}}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What the training part decides of a card before there are weights."""

    config: Mapping[str, Any]
    card: Mapping[str, Any] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None


Drafting = Callable[[Mapping[str, Any], Sequence[Sample], Path], Draft]


def as_it_is(_model: Model, _training: Sequence[Prepared], _truth: NDArray[np.int64]) -> None:
    """Leaves the fresh weights alone."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One kind's way of training.

    ``patience``: epochs without a better validation loss before it stops; ``draft``: config, training samples, where the
    labelled inputs are → Draft; ``gates``: validation part → thresholds of the gates before the model; ``variants``:
    name → what else each test sample is tried as, so that the card can say what a missing feed costs.
    """

    architecture: str
    epochs: int
    patience: int
    batch: int
    learning_rate: float
    weight_decay: float
    autoencoder_epochs: int
    split: Split
    draft: Drafting
    augment: Augment
    gates: Callable[[Sequence[Prepared]], dict[str, Any]]
    start: Start = as_it_is
    variants: Mapping[str, Callable[[Sample], Sample]] = field(default_factory=dict)


def recipe_of(kind: str, architecture: str | None = None) -> Recipe:
    """The recipe of a kind, with another architecture when told; raises Refused when that is none of the kind's."""
    recipe: Recipe = import_module(RECIPES[kind]).RECIPE
    if architecture in (None, recipe.architecture):
        return recipe
    if architecture not in TEXTBOOK.get(kind, ()):
        raise Refused(f"{architecture} is no {kind} network: {', '.join([recipe.architecture, *TEXTBOOK.get(kind, ())])}")
    return replace(recipe, architecture=architecture, draft=_plain(recipe.draft, kind))


def _plain(draft: Drafting, kind: str) -> Drafting:
    """A draft that leaves out what the kind's own network has beside it."""
    return lambda config, samples, source: draft({**PLAIN.get(kind, {}), **config}, samples, source)
