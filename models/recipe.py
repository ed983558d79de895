"""How each kind of model is trained: what a kind knows that the training loop does not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.about import ABOUT_FILE
from models.example import Example
from models.interface import Prepared
from models.model import Model
from models.split import Split
from models.words import Vocabulary
from stream.errors import Refused
from stream.judgement import Sample

Augment = Callable[[Prepared, np.random.Generator], Prepared]
Start = Callable[[Model, Sequence[Prepared], NDArray[np.int64]], None]

#: Where a person wrote the config that a draft gets.
CONFIG = f"{ABOUT_FILE}: config"
#: Kind → the module that has its RECIPE.
RECIPES = {"scan": "models.recipe_scan", "lab": "models.recipe_lab", "note": "models.recipe_note"}
#: Kind → the textbook's networks for it.
TEXTBOOK = {
    "scan": ("cnn3", "cnn2", "lenet", "autoencoder"),
    "lab": ("lstm128", "rnn", "autoencoder"),
    "note": ("embed-lstm", "autoencoder", "seq2seq"),
}
#: Steps that an epoch should have, and the smallest batch that is made for it.
LEAST_STEPS, LEAST_BATCH = 10, 8
#: Networks that make no finding.
SILENT = frozenset({"autoencoder", "seq2seq"})


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What the training part decides of a card before there are weights."""

    config: Mapping[str, Any]
    card: Mapping[str, Any] = field(default_factory=dict)
    vocabulary: Vocabulary | None = None


Completing = Callable[[Mapping[str, Any], Sequence[Example]], Mapping[str, Any]]
Variant = Callable[[Sample, Path], Sample]
Drafting = Callable[[Mapping[str, Any], Sequence[Sample], Path], Draft]


def as_it_is(_model: Model, _training: Sequence[Prepared], _truth: NDArray[np.int64]) -> None:
    """Leaves the fresh weights alone."""


def as_told(config: Mapping[str, Any], _training: Sequence[Example]) -> Mapping[str, Any]:
    """The config unchanged."""
    return config


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One kind's way of training.

    ``optimiser``: ``adamw``, ``adam`` or ``sgd``; ``precision``: ``fp32`` or ``bf16``, in which
    the forward passes of training then run; ``complete``: what the labels of the training part decide of the config;
    ``patience``: epochs without a better validation loss before it stops; ``draft``: config, training samples, where the
    labelled inputs are → Draft; ``gates``: validation part → thresholds of the gates before the model; ``variants``:
    name → what else each test sample is tried as (told where the labelled inputs are), so that the card can say what a
    missing feed costs.
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
    optimiser: str = "adamw"
    precision: str = "fp32"
    complete: Completing = as_told
    start: Start = as_it_is
    variants: Mapping[str, Variant] = field(default_factory=dict)

    def for_so_many(self, examples: int) -> "Recipe":
        """The recipe with smaller batches where there are few examples, so that an epoch still has LEAST_STEPS steps."""
        return replace(self, batch=min(self.batch, max(examples // LEAST_STEPS, LEAST_BATCH)))


def recipe_of(kind: str, architecture: str | None = None) -> Recipe:
    """The recipe of a kind, with another architecture when told; raises Refused when that is none of the kind's."""
    recipe: Recipe = import_module(RECIPES[kind]).RECIPE
    if architecture in (None, recipe.architecture):
        return recipe
    if architecture not in TEXTBOOK[kind]:
        raise Refused(f"{architecture} is no {kind} network: {', '.join([recipe.architecture, *TEXTBOOK[kind]])}")
    textbook: Recipe = import_module("models.recipe_textbook").as_taught(recipe, kind, architecture)
    return textbook
