"""Training of the textbook's networks: its optimiser and shape, our data, splits, augmentation and gates."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.coder import CoderConfig
from models.embed_lstm import EmbedConfig
from models.example import Example
from models.interface import Prepared
from models.recipe import CONFIG, Draft, Drafting, Recipe, as_it_is
from models.seq2seq import SequenceConfig
from models.shape import shaped
from models.textbook import LABS, SCANS, TextbookLabConfig, TextbookScanConfig
from models.words import tokenize
from stream.errors import Refused
from stream.judgement import Sample

#: Architecture → optimiser and learning rate as taught.
OPTIMISERS = {"lenet": ("sgd", 1e-3)}
ADAM = ("adam", 1e-3)
#: Architecture → what its config may say; a picture's network has its own defaults in SCANS.
CONFIGS = {
    **dict.fromkeys(LABS, TextbookLabConfig),
    "embed-lstm": EmbedConfig,
    "autoencoder": CoderConfig,
    "seq2seq": SequenceConfig,
}
LEAST_BATCH = 32
#: A word that fewer training targets have is written as another one.
LEAST_TARGETS, MOST_TARGETS = 2, 2000


def as_taught(recipe: Recipe, kind: str, architecture: str) -> Recipe:
    """The kind's recipe with a textbook network: nothing fitted beside it before the first step, no weight decay."""
    optimiser, rate = OPTIMISERS.get(architecture, ADAM)
    taught = replace(
        recipe, architecture=architecture, optimiser=optimiser, learning_rate=rate, weight_decay=0.0, start=as_it_is, variants={}
    )
    taught = replace(taught, draft=_draft(recipe.draft, kind, architecture), batch=max(recipe.batch, LEAST_BATCH))
    if kind == "note":
        taught = replace(taught, augment=_unchanged)
    if architecture == "seq2seq":
        taught = replace(taught, complete=_targets)
    if architecture not in ("autoencoder", "seq2seq"):
        return taught
    epochs = recipe.autoencoder_epochs if architecture == "seq2seq" else 0  # an autoencoder needs no second one beside it
    return replace(taught, augment=_unchanged, gates=_none, autoencoder_epochs=epochs)


def _unchanged(prepared: Prepared, _rng: np.random.Generator) -> Prepared:
    return prepared


def _none(_validation: Sequence[Prepared]) -> dict[str, Any]:
    return {}


def _targets(config: Mapping[str, Any], training: Sequence[Example]) -> dict[str, Any]:
    """The config with the words that seq2seq can write: those of several training targets, the most frequent first.

    Raises Refused where the notes have nothing to be written.
    """
    if not any(example.target for example in training):
        raise Refused("no note has a summary or a label, so there is nothing to learn to write")
    counts = Counter(word for example in training for word in tokenize(example.target))
    found = sorted((word for word, count in counts.items() if count >= LEAST_TARGETS), key=lambda word: (-counts[word], word))
    return {"targets": tuple(found[:MOST_TARGETS]), **config}


def _draft(draft: Drafting, kind: str, architecture: str) -> Drafting:
    """The kind's analytes or vocabulary, the network's own config."""

    def drafted(config: Mapping[str, Any], samples: Sequence[Sample], source: Path) -> Draft:
        if kind == "scan":
            return Draft(config=_config(architecture, config))
        if kind == "note":
            return replace(draft({}, samples, source), config=_config(architecture, config))
        own = _config(architecture, config)
        told = draft({"hours": own["hours"], "trees": 0}, samples, source)
        if architecture == "autoencoder":
            return replace(told, config=own)
        return replace(told, config={**told.config, "hidden": LABS[architecture][1], "dropout": 0.0, "recurrent": 1.0})

    return drafted


def _config(architecture: str, config: Mapping[str, Any]) -> dict[str, Any]:
    if architecture in SCANS:
        layers = SCANS[architecture]
        return asdict(shaped(TextbookScanConfig, {"side": layers.side, "widths": layers.widths, **config}, CONFIG))
    return asdict(shaped(CONFIGS[architecture], config, CONFIG))
