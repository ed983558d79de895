"""K-fold cross-validation: every group is tested once, by a model that never saw it; mean and spread over the folds."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.about import read_about
from models.card import Card
from models.split import LEAST_FOLDS
from models.train import train
from stream.errors import Refused

FOLDS_FILE = "folds.json"


def cross_validate(kind: str, data: str | Path, out: str | Path, folds: int, **options: Any) -> dict[str, Any]:
    """Trains ``folds`` cards into ``out``/fold-1 … and writes ``out``/folds.json, which it gives back.

    ``options``: those of ``models.plan.Plan``. Folds that an earlier run of the same command finished are not trained again.
    Raises Refused below three folds: test, validation, training.
    """
    if folds < LEAST_FOLDS:
        raise Refused(f"cross-validation needs at least {LEAST_FOLDS} folds: one to test, one to validate, the rest to train")
    out = Path(out)
    about = {**read_about(out), **(options.pop("about", None) or {})}
    cards = []
    for number in range(folds):
        split = {**about.get("split", {}), "folds": folds, "fold": number}
        cards.append(train(kind, data, out / f"fold-{number + 1}", about={**about, "split": split}, reuse=True, **options))
    told = {"folds": folds, **spread([card.quality["test"] for card in cards]), "cards": [_line(card) for card in cards]}
    (out / FOLDS_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return told


def spread(tests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``mean`` and ``spread`` (standard deviation between folds) of every figure that all folds have."""
    names = [name for name, value in tests[0].items() if isinstance(value, float)]
    values = {name: [test[name] for test in tests] for name in names if all(isinstance(test.get(name), float) for test in tests)}
    return {
        "mean": {name: float(np.mean(one)) for name, one in values.items()},
        "spread": {name: float(np.std(one, ddof=1)) for name, one in values.items()},
    }


def _line(card: Card) -> dict[str, Any]:
    return {"folder": card.folder.name, "model_digest": card.digest, "n": card.quality["test"]["n"]}
