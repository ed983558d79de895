"""From labelled inputs to a card: split, draft, fit, calibrate, set the gates, measure, write."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.calibrate import (
    SENSITIVITY,
    abstention,
    balanced_threshold,
    error_gates,
    fit_line,
    fit_temperature,
    sensitive_threshold,
)
from models.card import VOCABULARY_FILE, Card, Window, encode_card
from models.catalogue import build
from models.checkpoint import CHECKPOINT_FILE, Checkpoint
from models.evaluate import class_number, report, score
from models.example import Example
from models.examples import read_examples
from models.fit import Epoch, Part, Tell, fit, fit_autoencoder
from models.judge import probabilities
from models.metrics import PREVALENCES, predictive_values
from models.model import Model, Prepared, Scores
from models.recipe import Recipe, Start, recipe_of
from models.report import draw_learning_curve
from models.split import Split
from models.transfer import transfer
from models.write import write_card, write_weights
from stream.errors import Refused
from stream.judgement import Sample

#: What a person writes of a model before it is trained: intended use, sources, licence, notes.
ABOUT_FILE = "about.json"
#: Labels that mean that there is nothing to be found.
NEGATIVE = frozenset({"0", "no", "none", "false", "normal", "negative", "healthy", "survival", "survived"})
OPERATING_POINT = f"sensitivity at least {SENSITIVITY:g} on validation"
BALANCED_POINT = "greatest min(sensitivity, precision) on validation"


def silent(what: str, done: int, most: int, loss: float) -> None:
    """The Tell that says nothing."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The examples of one split."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]


def train(
    kind: str,
    data: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    epochs: int | None = None,
    about: Mapping[str, Any] | None = None,
    init: Card | None = None,
    freeze: bool = False,
    architecture: str | None = None,
    tell: Tell = silent,
) -> Card:
    """Trains a model of ``kind`` on the labelled inputs under ``data`` and writes its card into the folder ``out``.

    ``about``: what ``about.json`` in ``out`` may say too (name, version, task, positive, intended_use, window, config,
    split, use_prevalence, sources, licence, notes). ``init``: a card of the same architecture to start from;
    ``freeze``: of what it gave only the last layer is trained on. ``architecture``: a network of ``models.textbook``
    instead of the kind's own. A training that was killed goes on from its checkpoint in ``out``. Deterministic for a seed
    on one machine. Raises Refused when the data do not keep the layout or a part lacks examples.
    """
    began = time.monotonic()
    out, recipe = Path(out), recipe_of(kind, architecture)
    out.mkdir(parents=True, exist_ok=True)
    about = {**_read_about(out), **(about or {})}
    torch.manual_seed(seed)
    split = Split.from_recipe({**recipe.split.recipe(), **about.get("split", {})})
    parts = _split(read_examples(kind, Path(data)), split)
    card = _draft(kind, parts, about, recipe=recipe, data=Path(data), out=out)
    model = build(replace(card, split=split.recipe()), device)
    start = recipe.start if init is None else _from(init, recipe, freeze=freeze)
    checkpoint = Checkpoint(path=out / CHECKPOINT_FILE, signature=_signature(model.card, parts, init, seed, epochs, freeze))
    recipe = replace(recipe, start=start, epochs=epochs or recipe.epochs)
    history = _fit(model, parts, checkpoint, recipe=recipe, seed=seed, tell=tell)
    draw_learning_curve(history, out / "learning-curve.png", model.card.name)
    model.card = _fix(model, parts, recipe, about)
    write_weights(model, out)
    model.card = replace(model.card, training=_story(parts, history, seed, recipe, time.monotonic() - began))
    model.card = replace(model.card, quality=_quality(model, parts, recipe))
    checkpoint.drop()
    return write_card(model, out)


def _signature(card: Card, parts: Parts, init: Card | None, *settings: Any) -> str:
    """Names a training: the card as drafted, the split examples, what it starts from and with which settings."""
    ids = [example.id for part in (parts.train, parts.validation) for example in part]
    told = [encode_card(card).decode(), ids, init.digest if init else "", *settings]
    return sha256(json.dumps(told).encode()).hexdigest()


def _from(init: Card, recipe: Recipe, *, freeze: bool) -> Start:
    """The recipe's start, then the weights of ``init``."""

    def start(model: Model, training: Sequence[Prepared], truth: NDArray[np.int64]) -> None:
        recipe.start(model, training, truth)
        transfer(model, init, freeze=freeze)

    return start


def _read_about(out: Path) -> dict[str, Any]:
    path = out / ABOUT_FILE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _split(examples: Sequence[Example], split: Split) -> Parts:
    parts = split.parts(examples)
    for name, part in parts.items():
        if not part:
            raise Refused(f"too few groups: none fell into the {name} part")
    if len({example.label for example in parts["train"]}) < 2:
        raise Refused("the training part needs at least two labels")
    return Parts(**parts)


def _classes(parts: Parts, positive: str | None) -> tuple[str, ...]:
    """The labels; of two the one to be found stands last: ``positive``, else the one that is no word for nothing."""
    labels = sorted({example.label for part in (parts.train, parts.validation, parts.test) for example in part})
    if len(labels) == 2:
        found = positive.casefold() if positive else None
        labels.sort(key=lambda label: (label.casefold() == found, label.casefold() not in NEGATIVE, label))
    return tuple(labels)


def _draft(kind: str, parts: Parts, about: Mapping[str, Any], *, recipe: Recipe, data: Path, out: Path) -> Card:
    """The card before there are weights; a vocabulary is written beside it."""
    drafted = recipe.draft(about.get("config", {}), [example.open() for example in parts.train], data)
    if drafted.vocabulary:
        drafted.vocabulary.write(out / VOCABULARY_FILE)
    classes = _classes(parts, about.get("positive"))
    card = Card(
        name=about.get("name", out.name),
        version=about.get("version", "1.0.0"),
        kind=kind,
        architecture=recipe.architecture,
        task=about.get("task", ""),
        config=drafted.config,
        classes=classes,
        labels=(about.get("finding", classes[1].lower()),) if len(classes) == 2 else classes,
        intended_use=about.get("intended_use", {}),
        sources=tuple(about.get("sources", ())),
        licence=about.get("licence", ""),
        notes=tuple(about.get("notes", ("No intended use was stated.",))),
        folder=out,
    )
    card = replace(card, **drafted.card)
    return replace(card, window=Window(**about["window"])) if "window" in about else card


def _fit(model: Model, parts: Parts, checkpoint: Checkpoint, *, recipe: Recipe, seed: int, tell: Tell) -> list[Epoch]:
    """Both networks trained in place."""
    training, validation = _part(model, parts.train), _part(model, parts.validation)
    recipe.start(model, training.prepared, training.truth)
    history = fit(model, training, validation, recipe=recipe, epochs=recipe.epochs, seed=seed, tell=tell, checkpoint=checkpoint)
    most = min(recipe.autoencoder_epochs, 3 * recipe.epochs)
    fit_autoencoder(model, training, recipe=recipe, epochs=most, seed=seed, tell=tell)
    return history


def _part(model: Model, examples: Sequence[Example]) -> Part:
    truth = [class_number(model.card, example.label) for example in examples]
    return Part(prepared=[model.read(example.open()) for example in examples], truth=np.array(truth, np.int64))


def _fix(model: Model, parts: Parts, recipe: Recipe, about: Mapping[str, Any]) -> Card:
    """The card with all that the validation part fixes: calibration, thresholds, gates."""
    part = _part(model, parts.validation)
    gates = recipe.gates(part.prepared)
    model.card = replace(model.card, gates=gates)
    scores = _infer(model, part)
    passed = [not model.refusal(prepared) for prepared in part.prepared]
    gates = {**gates, **error_gates(np.array([one.error for one in scores])[passed])}
    card = replace(model.card, gates=gates, prevalence=_prevalence(model.card, parts, about))
    logits = np.stack([one.logits for one in scores]).astype(np.float64)
    return _fix_point(card, part, logits, about.get("use_prevalence"))


def _infer(model: Model, part: Part) -> list[Scores]:
    size = model.batch_size
    return [one for at in range(0, len(part.prepared), size) for one in model.infer(part.prepared[at : at + size])]


def _fix_point(card: Card, part: Part, logits: np.ndarray[Any, Any], use_prevalence: float | None) -> Card:
    if card.exclusive:
        card = replace(card, temperature=fit_temperature(part.truth, logits))
        limit = abstention(probabilities(card, logits))
        return replace(card, abstention=limit, operating_point="greatest probability, above the abstention limit")
    temperature, offset = fit_line(part.truth, logits[:, 0], use_prevalence)
    card = replace(card, temperature=temperature, offset=offset)
    chance = probabilities(card, logits)[:, 0]
    points = {
        OPERATING_POINT: sensitive_threshold(part.truth, chance),
        BALANCED_POINT: balanced_threshold(part.truth, chance),
    }
    thresholds = {card.labels[0]: points[OPERATING_POINT]}
    return replace(card, thresholds=thresholds, operating_points=points, operating_point=OPERATING_POINT)


def _prevalence(card: Card, parts: Parts, about: Mapping[str, Any]) -> dict[str, float]:
    """Of each finding in the training part; for a yes-or-no question also the one that it was calibrated for."""
    labels = [class_number(card, example.label) for example in parts.train]
    count = np.bincount(labels, minlength=len(card.classes)) / len(labels)
    found = {label: float(count[-1 if not card.exclusive else place]) for place, label in enumerate(card.labels)}
    if "use_prevalence" in about:
        found["calibrated_for"] = float(about["use_prevalence"])
    return found


def _story(parts: Parts, history: Sequence[Epoch], seed: int, recipe: Recipe, seconds: float) -> dict[str, Any]:
    best = min(range(len(history)), key=lambda place: history[place].validation)
    return {
        "n": {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)},
        "seed": seed,
        "epochs": len(history),
        "kept_epoch": best + 1,
        "validation_loss": history[best].validation,
        "batch": recipe.batch,
        "learning_rate": recipe.learning_rate,
        "seconds": round(seconds, 1),
        "trained_on": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
    }


def _quality(model: Model, parts: Parts, recipe: Recipe) -> dict[str, Any]:
    """Figures on the validation and test part, the variants of the test part, and predictive values."""
    found: dict[str, Any] = {name: _figures(model, getattr(parts, name)) for name in ("validation", "test")}
    for name, change in recipe.variants.items():
        found[f"test_{name}"] = _figures(model, [_changed(example, change) for example in parts.test])
    test = found["test"]
    if not model.card.exclusive and None not in (test["sensitivity"], test["specificity"]):
        found["predictive_values"] = {
            f"{share:g}": predictive_values(test["sensitivity"], test["specificity"], share) for share in PREVALENCES
        }
    return found


def _changed(example: Example, change: Callable[[Sample], Sample]) -> Example:
    return replace(example, open=lambda: change(example.open()))


def _figures(model: Model, examples: Sequence[Example]) -> dict[str, Any]:
    told = report(model.card, list(score(model, examples)))
    return {name: value for name, value in told.items() if name not in ("model", "version", "model_digest")}
