"""Training of the note model: the vocabulary, first word vectors from the training notes, gates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.interface import Prepared
from models.model import Model
from models.note import NoteConfig, NoteModel
from models.recipe import CONFIG, Draft, Recipe
from models.shape import shaped
from models.split import Split
from models.votes import WordVotes, fit_votes, rarity_of
from models.words import Vocabulary
from stream.judgement import Sample

#: A text of fewer words says too little, whatever the validation part holds.
LEAST_TOKENS = 20
#: Share of the training notes of which only a stretch is shown.
STRETCHES = 0.7
#: What a margin of the linear half counts beside a logit of the recurrent half (over five folds of 1,084 notes, of 0 to 1,000).
VOTES = 40.0


def draft(config: Mapping[str, Any], samples: Sequence[Sample], _source: Path) -> Draft:
    """The network's shape and the words that several training notes share."""
    vocabulary = Vocabulary.learn(sample.contents[0].decode() for sample in samples)
    return Draft(config=asdict(shaped(NoteConfig, {"votes": VOTES, **config}, CONFIG)), vocabulary=vocabulary)


def start(model: Model, training: Sequence[Prepared], truth: NDArray[np.int64]) -> None:
    """Before the first step: word vectors that know which words occur in the same notes, and the words' votes."""
    assert isinstance(model, NoteModel)
    notes = [one.arrays["tokens"] for one in training]
    vectors = word_vectors(notes, len(model.vocabulary), model.config.embedding)
    with torch.no_grad():
        model.network.get_parameter("embedding.weight").copy_(torch.from_numpy(vectors))
    votes = model.network.votes
    if isinstance(votes, WordVotes):
        votes.rarity.copy_(torch.from_numpy(rarity_of(notes, model.vocabulary)))
        weights = votes.weigh([torch.from_numpy(note).to(model.device) for note in notes])
        fit_votes(votes, weights, torch.from_numpy(truth).to(model.device))


def word_vectors(notes: Sequence[NDArray[np.int64]], words: int, width: int) -> NDArray[np.float32]:
    """(words, width): truncated SVD of the notes' tf-idf matrix (Deerwester et al. 1990), spread like a fresh embedding."""
    counts = np.stack([np.bincount(note, minlength=words) for note in notes]).astype(np.float32)  # (notes, words)
    rarity = np.log((1.0 + len(notes)) / (1.0 + (counts > 0).sum(axis=0))) + 1.0
    weighted = np.log1p(counts) * rarity
    weighted /= np.linalg.norm(weighted, axis=1, keepdims=True)
    _, strength, right = np.linalg.svd(weighted, full_matrices=False)
    kept = min(width, len(strength))
    vectors = np.zeros((words, width), np.float32)
    vectors[:, :kept] = (right[:kept] * np.sqrt(strength[:kept, None])).T
    return np.asarray(vectors / max(float(vectors.std()), 1e-9) * 0.5, np.float32)


def augment(prepared: Prepared, rng: np.random.Generator) -> Prepared:
    """A stretch of the note, so that its heading is not all that is learnt; words are dropped in the network."""
    tokens = prepared.arrays["tokens"]
    if rng.random() < STRETCHES:
        length = max(int(rng.uniform(0.3, 1.0) * len(tokens)), 1)
        begin = int(rng.integers(0, len(tokens) - length + 1))
        tokens = tokens[begin : begin + length]
    return replace(prepared, arrays={**prepared.arrays, "tokens": tokens})


def gates(validation: Sequence[Prepared]) -> dict[str, Any]:
    """The half-percent point of validation notes for the share of known words, and some room."""
    known = [prepared.details["known_words"] for prepared in validation]
    return {"least_tokens": LEAST_TOKENS, "least_known_words": round(float(np.quantile(known, 0.005)) - 0.02, 4)}


RECIPE = Recipe(
    architecture="bilstm-attention",
    epochs=40,
    patience=10,
    batch=16,
    learning_rate=2e-3,
    weight_decay=1e-2,
    autoencoder_epochs=60,
    split=Split(validation=0.10, test=0.10),
    draft=draft,
    augment=augment,
    gates=gates,
    start=start,
)
