"""Measures every way to run a card on this processor over labelled inputs: AUROC, how far a probability moves, seconds an input."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import CARD_FILE, UNCERTAINTY, BadCard, Card, encode_card
from models.catalogue import SHIPPED, load
from models.dropout import last_dropouts
from models.evaluate import part_of
from models.examples import read_examples
from models.fast import ENGINES, LOSS, inputs_of
from models.interface import Prepared
from models.judge import probabilities
from models.metrics import auroc, mean
from models.model import Model
from models.runtimes import has_bfloat16
from models.truth import truth_of
from stream.errors import DxstreamError, Refused, Rejected

#: Rounds of timing, every way in each of them.
ROUNDS = 5


def hasten(card: Card, data: Path, part: str = "validation", *, write: bool = False) -> dict[str, Any]:
    """Way → figures; ``write``: put bfloat16 with its check into the card where no AUROC is lost, which makes it another card.

    Raises BadCard for a card without findings, a shipped one that would be written, and inputs of one class only.
    """
    if not card.labels:
        raise BadCard(f"{card.name} makes no finding, so that there is no AUROC to compare")
    if write and SHIPPED in card.folder.resolve().parents:
        raise BadCard(f"{card.name} is a shipped card: copy its folder into your own, under another name or version")
    model = load(card)
    prepared, truth = _inputs(model, data, part)
    told = {way: _measured(model, network, prepared, truth) for way, network in _ways(model, prepared).items()}
    if write and _keeps(told):
        check = {
            "auroc": told["torch"]["auroc"],
            "auroc_bfloat16": told["torch in bfloat16"]["auroc"],
            "n": len(truth),
            "part": part,
        }
        changed = replace(card, speed={**card.speed, "bfloat16": True, "check": check})
        (card.folder / CARD_FILE).write_bytes(encode_card(changed))
    return told


def _keeps(told: dict[str, dict[str, Any]]) -> bool:
    rounded = [figures for way, figures in told.items() if way.endswith("bfloat16")]
    return bool(rounded) and all(told["torch"]["auroc"] - one["auroc"] <= LOSS for one in rounded)


def _inputs(model: Model, data: Path, part: str) -> tuple[list[Prepared], NDArray[np.int64]]:
    kept, truth = [], []
    for example in part_of(model.card, read_examples(model.card.kind, data), part):
        try:
            kept.append(model.read(example.open()))
        except Rejected:
            continue
        truth.append(truth_of(model.card, example))
    if not kept:
        raise Refused("none of the inputs can be read", where=f"{data}, part {part}")
    return kept, np.array(truth)


def _ways(model: Model, prepared: Sequence[Prepared]) -> dict[str, Any]:
    """The plain network as ``torch`` and every other that can be had here."""
    found: dict[str, Any] = {"torch": model.network}
    few = prepared[:8]
    for engine, make in ENGINES.items():
        for bfloat16 in (False, True) if has_bfloat16() else (False,):
            try:
                network = make(model, inputs_of(model, few), bfloat16)
            except (DxstreamError, RuntimeError, TypeError, ValueError):
                continue
            name = "torch, fused" if (engine, bfloat16) == ("torch", False) else engine + " in bfloat16" * bfloat16
            if network is not None and (UNCERTAINTY not in model.card.gates or last_dropouts(network)):
                found[name] = network
    return found


def _measured(model: Model, network: Any, prepared: Sequence[Prepared], truth: NDArray[np.int64]) -> dict[str, Any]:
    plain, model.network = model.network, network
    try:
        chances = _chances(model.card, model, prepared)
        alone = [_seconds(model, prepared[place : place + 1]) for place in range(min(ROUNDS * 4, len(prepared)))]
        size = model.batch_size
        batched = [_seconds(model, prepared[:size]) / len(prepared[:size]) for _ in range(ROUNDS)]
    finally:
        model.network = plain
    return {"auroc": _auroc(model.card, truth, chances), "seconds_alone": median(alone), "seconds_batched": median(batched)}


def _chances(card: Card, model: Model, prepared: Sequence[Prepared]) -> NDArray[np.float64]:
    told = [
        one
        for start in range(0, len(prepared), model.batch_size)
        for one in model.infer(prepared[start : start + model.batch_size])
    ]
    return probabilities(card, np.stack([one.logits for one in told]))


def _seconds(model: Model, batch: Sequence[Prepared]) -> float:
    began = perf_counter()
    model.infer(batch)
    return perf_counter() - began


def _auroc(card: Card, truth: NDArray[np.int64], chances: NDArray[np.float64]) -> float:
    """Of the one label, else the mean over labels of each against the rest."""
    if chances.shape[1] == 1:
        return _known(auroc(truth.ravel() == 1, chances[:, 0]))
    each = truth if card.multi_label else np.eye(chances.shape[1], dtype=np.int64)[truth.ravel()]
    found = [auroc(each[:, label] == 1, chances[:, label]) for label in range(chances.shape[1])]
    return _known(mean(found))


def _known(figure: float | None) -> float:
    if figure is None:
        raise BadCard("there are labelled inputs of one class only: AUROC says nothing of them")
    return figure
