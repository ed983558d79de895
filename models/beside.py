"""The textbook's networks of a card's kind, trained on the card's own split, so that its report can show what ours gains.

The figures lie in ``beside.json`` in the card's folder; no digest pins them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.calibrate import choice_of
from models.card import Card
from models.fit import Tell
from models.recipe import TEXTBOOK
from models.split import Split
from models.train import silent, train

BESIDE_FILE = "beside.json"
#: The figures of each part that are kept.
KEPT = (
    *("n", "accuracy", "sensitivity", "specificity", "precision", "f1_macro", "auroc", "auprc", "min_se_ppv", "brier", "ece"),
    *("exact_match", "word_accuracy", "mean_absolute_error", "mean_squared_error"),
)
#: What a network's config says otherwise here: at the book's 150 pixels it takes an hour on two cores.
SMALLER: Mapping[str, Mapping[str, Any]] = {"cnn3": {"side": 64}}


def beside(
    card: Card, data: Path, *, networks: Sequence[str] = (), epochs: int | None = None, device: str = "cpu", tell: Tell = silent
) -> dict[str, Any]:
    """Trains ``networks`` (all of the kind's, unless told) and writes their figures beside those already there.

    Figures of another split than the card's are thrown away.
    """
    told = read_beside(card) or {"split": dict(card.split), "networks": {}}
    for name in networks or TEXTBOOK[card.kind]:
        told["networks"][name] = _figures(card, data, name, epochs=epochs, device=device, tell=tell)
        (card.folder / BESIDE_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told


def _figures(card: Card, data: Path, name: str, *, epochs: int | None, device: str, tell: Tell) -> dict[str, Any]:
    about = {"name": name, "split": dict(card.split), "config": dict(SMALLER.get(name, {})), **_judged_as(card)}
    with TemporaryDirectory() as out:
        options: dict[str, Any] = {"architecture": name, "epochs": epochs, "device": device, "gate": False}
        trained = train(card.kind, data, out, about=about, tell=tell, **options)
    story = {one: trained.training[one] for one in ("epochs", "optimiser", "learning_rate", "seconds", "device", "trained_on")}
    command = f"dxstream models beside {card.name} --data DIR --network {name}" + (f" --epochs {epochs}" if epochs else "")
    return {
        "command": command,
        "config": dict(about["config"]),
        "operating_point": trained.operating_point,
        "calibrated_for": dict(trained.calibrated_for),
        **story,
        **{part: _kept(trained.quality[part]) for part in ("validation", "test")},
    }


def _judged_as(card: Card) -> dict[str, Any]:
    """What ``about.json`` of a network says so that it finds, is calibrated and judges as the card does: figures then compare."""
    told: dict[str, Any] = {"operating_point": choice_of(card.operating_point)}
    if len(card.labels) == 1:
        told |= {"positive": card.classes[-1] if card.classes else None}
        told |= {"use_prevalence": card.calibrated_for.get(card.labels[0], card.prevalence.get("calibrated_for"))}
    return {name: value for name, value in told.items() if value is not None}


def _kept(figures: Mapping[str, Any]) -> dict[str, Any]:
    between = {name: ends for name, ends in figures["intervals"].items() if name in KEPT}
    return {**{name: figures[name] for name in KEPT if name in figures}, "intervals": between}


def read_beside(card: Card) -> dict[str, Any] | None:
    """What was measured on the card's split; None when nothing was, or on another split."""
    path = card.folder / BESIDE_FILE
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told if Split.from_recipe(told.get("split", {})) == Split.from_recipe(card.split) else None
