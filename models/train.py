"""From labelled inputs to a card: split, draft, fit, calibrate, set the gates, measure, write."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.about import ABOUT_FILE
from models.card import CARD_FILE, Card, encode_card, read_card
from models.catalogue import build
from models.checkpoint import CHECKPOINT_FILE, Checkpoint
from models.device import check_device
from models.draft import draft, prevalence, with_labels
from models.dropout import last_dropouts
from models.evaluate import results_left_out, told_of
from models.example import Example
from models.fit import Epoch, Part, Tell, fit, fit_autoencoder, refit
from models.fix import fix, set_gates
from models.interface import Prepared
from models.metrics import PREVALENCES, predictive_values
from models.model import Model
from models.plan import Parts, Plan, parts_of
from models.recipe import CONFIG, SILENT, Recipe, Start, Variant
from models.report import draw_learning_curve
from models.silent import Silent
from models.split import Split
from models.transfer import transfer
from models.truth import truths
from models.write import write_card, write_weights
from stream.errors import Refused, Rejected

#: Unreadable inputs that a refusal names.
MOST_NAMED = 20
#: What a person chooses that no weight depends on, so that a checkpoint serves another choice too; a card does not.
CHOSEN = ("operating_point", "use_prevalence", "uncertainty")


def silent(what: str, done: int, most: int, loss: float) -> None:
    """The Tell that says nothing."""


def train(kind: str, data: str | Path, out: str | Path, *, tell: Tell = silent, **wishes: Any) -> Card:
    """Trains a model of ``kind`` on the labelled inputs under ``data`` and writes its card into the folder ``out``.

    ``wishes``: fields of ``models.plan.Plan``. A training that was killed goes on from its checkpoint in ``out``.
    Deterministic for a seed on one machine. Raises Refused when the data do not keep the layout, a part lacks
    examples or a wish cannot be met; all that can be known before the first step is.
    """
    began = time.monotonic()
    plan = Plan(kind=kind, data=Path(data), out=Path(out), **wishes)
    check_device(plan.device)
    plan.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(plan.seed)
    about = plan.told()
    recipe, parts, card = _drafted(plan, about)
    signature, chosen = _signature(plan, card, parts), {name: value for name, value in about.items() if name in CHOSEN}
    done = _done(plan, signature, chosen)
    if done:
        return done
    model = _built(card, plan.device)
    if "uncertainty" in about and not last_dropouts(model.network):
        raise Refused(f"{card.architecture} has no dropout in its last layers", where=f"{ABOUT_FILE}: uncertainty")
    history, validation = _fit(model, parts, plan, recipe, signature, tell)
    draw_learning_curve(history, plan.out / "learning-curve.png", card.name)
    _settle(model, parts, validation, about)
    quality = {"validation": _figures(model, parts.validation)}
    if plan.refit:
        _refit(model, parts, plan, recipe, epochs=_best(history) + 1)
    write_weights(model, plan.out)
    story = {"signature": signature, "chosen": chosen, "seconds": round(time.monotonic() - began, 1)}
    story |= results_left_out(plan.kind, parts.every)
    model.card = replace(model.card, training={**_story(parts, history, plan, recipe), **story})
    model.card = replace(model.card, quality={**quality, **_quality(model, parts, recipe, plan.data)})
    written = write_card(model, plan.out)
    (plan.out / CHECKPOINT_FILE).unlink(missing_ok=True)
    return written


def _drafted(plan: Plan, about: Mapping[str, Any]) -> tuple[Recipe, Parts, Card]:
    """The recipe for these data, their parts, and the card before there are weights."""
    recipe = plan.recipe()
    judges = recipe.architecture not in SILENT
    split = Split.from_recipe({**recipe.split.recipe(), **about.get("split", {})})
    parts = parts_of(plan, split, judges=judges)
    recipe = recipe.for_so_many(len(parts.train))
    card = replace(draft(plan, parts, about, recipe), split=split.recipe())
    return recipe, parts, with_labels(card, parts, about) if judges else card


def _built(card: Card, device: str) -> Model:
    """The model with fresh weights; raises Refused for a config that makes no network."""
    try:
        return build(card, device)
    except (RuntimeError, TypeError, ValueError) as error:
        raise Refused(f"no network can be made of it: {str(error).splitlines()[0]}", where=CONFIG) from error


def _signature(plan: Plan, card: Card, parts: Parts) -> str:
    """Names a training: the card as drafted, the split examples, what it starts from and with which settings."""
    ids = [_named(example) for part in (parts.train, parts.validation, parts.test) for example in part]
    settings = [plan.seed, plan.epochs, plan.freeze, plan.precision, plan.gate, plan.refit]
    told = [encode_card(card).decode(), ids, plan.init.digest if plan.init else "", settings]
    return sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _named(example: Example) -> tuple[Any, ...]:
    """An example with all that it says: another picture of the same name is another one, and so is another age."""
    sample = example.open()
    content = sha256(b"".join(sample.contents)).hexdigest()
    return example.id, example.label, example.group, example.target, content, dict(sample.facts)


def _done(plan: Plan, signature: str, chosen: Mapping[str, Any]) -> Card | None:
    """The card that this very training left, where the plan may use it."""
    if not plan.reuse or not (plan.out / CARD_FILE).is_file():
        return None
    card = read_card(plan.out)
    same = card.training.get("signature") == signature and card.training.get("chosen", chosen) == chosen
    return card if same else None


def _start(plan: Plan, recipe: Recipe) -> Start:
    """The recipe's start, then the weights of the card to start from."""

    def start(model: Model, training: Sequence[Prepared], truth: NDArray[np.int64]) -> None:
        recipe.start(model, training, truth)
        if plan.init:
            transfer(model, plan.init, freeze=plan.freeze)

    return start


def _fit(model: Model, parts: Parts, plan: Plan, recipe: Recipe, signature: str, tell: Tell) -> tuple[list[Epoch], Part]:
    """Both networks trained in place; the losses, and the validation part, whose gates are known before the first step."""
    checkpoint = Checkpoint(path=plan.out / CHECKPOINT_FILE, signature=signature)
    training, validation = _part(model, parts.train), _part(model, parts.validation)
    if not isinstance(model, Silent):
        set_gates(model, validation, recipe.gates(validation.prepared))
    _start(plan, recipe)(model, training.prepared, training.truth)
    history = fit(model, training, validation, recipe=recipe, seed=plan.seed, tell=tell, checkpoint=checkpoint)
    most = min(recipe.autoencoder_epochs, 3 * recipe.epochs)
    fit_autoencoder(model, training, recipe=recipe, epochs=most, seed=plan.seed, tell=tell)
    return history, validation


def _part(model: Model, examples: Sequence[Example]) -> Part:
    truth = model.truth(examples) if isinstance(model, Silent) else truths(model.card, examples)
    return Part(prepared=_read(model, examples), truth=truth)


def _read(model: Model, examples: Sequence[Example]) -> list[Prepared]:
    """The arrays of every example; raises Refused with the names of those that cannot be read."""
    read, unreadable = [], []
    for example in examples:
        try:
            read.append(model.read(example.open()))
        except Rejected as error:
            unreadable.append(f"{example.id} ({error.reason})")
    if unreadable:
        named = ", ".join(unreadable[:MOST_NAMED]) + ", …" * (len(unreadable) > MOST_NAMED)
        raise Refused(f"{len(unreadable)} of {len(examples)} inputs cannot be read: {named}")
    size = model.batch_size
    return [one for start in range(0, len(read), size) for one in model.expand(read[start : start + size])]


def _settle(model: Model, parts: Parts, validation: Part, about: Mapping[str, Any]) -> None:
    """Puts into the model's card what the validation part fixes, and how frequent each finding was in training."""
    if not isinstance(model, Silent):
        model.card = replace(fix(model, validation, about), prevalence=prevalence(model.card, parts))


def _refit(model: Model, parts: Parts, plan: Plan, recipe: Recipe, *, epochs: int) -> None:
    """Trains the network again, from fresh weights, on the training and the validation part; what is fixed stays fixed."""
    torch.manual_seed(plan.seed)
    model.network = build(model.card, plan.device).network
    both = _part(model, [*parts.train, *parts.validation])
    _start(plan, recipe)(model, both.prepared, both.truth)
    refit(model, both, recipe=recipe, epochs=epochs, seed=plan.seed)


def _best(history: Sequence[Epoch]) -> int:
    return min(range(len(history)), key=lambda place: history[place].validation)


def _story(parts: Parts, history: Sequence[Epoch], plan: Plan, recipe: Recipe) -> dict[str, Any]:
    best = _best(history)
    return {
        "n": {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)},
        "refit_on": len(parts.train) + len(parts.validation) if plan.refit else None,
        "seed": plan.seed,
        "epochs": len(history),
        "kept_epoch": best + 1,
        "validation_loss": history[best].validation,
        "batch": recipe.batch,
        "optimiser": recipe.optimiser,
        "learning_rate": recipe.learning_rate,
        "precision": recipe.precision,
        "device": plan.device,
        "trained_on": datetime.now(UTC).date().isoformat(),
        "torch": torch.__version__,
    }


def _quality(model: Model, parts: Parts, recipe: Recipe, source: Path) -> dict[str, Any]:
    """Figures on the test part, its variants, and predictive values."""
    found: dict[str, Any] = {"test": _figures(model, parts.test)}
    for name, change in recipe.variants.items():
        found[f"test_{name}"] = _figures(model, [_changed(example, change, source) for example in parts.test])
    test = found["test"]
    if len(model.card.labels) == 1 and None not in (test["sensitivity"], test["specificity"]):
        found["predictive_values"] = {
            f"{share:g}": predictive_values(test["sensitivity"], test["specificity"], share) for share in PREVALENCES
        }
    return found


def _changed(example: Example, change: Variant, source: Path) -> Example:
    return replace(example, open=lambda: change(example.open(), source))


def _figures(model: Model, examples: Sequence[Example]) -> dict[str, Any]:
    return {name: value for name, value in told_of(model, examples).items() if name not in ("model", "version", "model_digest")}
