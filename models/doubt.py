"""Tries the gate by predictive uncertainty on a card as it is: what it would hold back of errors and of correct answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibrate import Wish, uncertainty_gate
from models.card import CARD_FILE, UNCERTAINTY, BadCard, Card, encode_card
from models.catalogue import SHIPPED, load
from models.evaluate import part_of
from models.examples import read_examples
from models.figures import rightly, with_intervals
from models.fix import asking
from models.judge import doubts
from models.score import Scored, score
from stream.errors import Refused

#: What is told of each part.
TOLD = ("n", "held_back", "held_back_of_errors", "held_back_of_correct", "marked_by")


def doubt(card: Card, data: Path, part: str, wish: Wish, *, write: bool = False) -> dict[str, Any]:
    """The gate with its limit from ``part``, and what the gates hold back of that part and of the test part.

    ``write``: put it into the card, which makes it another card. Raises BadCard for a network without dropout in its last
    layers and for a shipped card that would be written, Refused for a part that the network was trained on.
    """
    if write and SHIPPED in card.folder.resolve().parents:
        raise BadCard(f"{card.name} is a shipped card: copy its folder into your own, under another name or version")
    if part != "test" and (part != "validation" or card.training.get("refit_on")):
        raise Refused(f"{card.name} was trained on its {part} part: what it says there is surer than elsewhere")
    model = load(asking(card, wish))
    examples = read_examples(card.kind, data)
    scored = {name: list(score(model, part_of(card, examples, name))) for name in dict.fromkeys((part, "test"))}
    limited = replace(card, gates={**card.gates, UNCERTAINTY: uncertainty_gate(wish, _right(card, scored[part]))})
    if write:
        (card.folder / CARD_FILE).write_bytes(encode_card(limited))
    held = {name: _held(limited, every) for name, every in scored.items()}
    return {"gate": limited.gates[UNCERTAINTY], "limit_from": part, "held": held}


def _right(card: Card, scored: Sequence[Scored]) -> NDArray[np.float64]:
    """The uncertainties of the inputs that every gate lets pass and that were judged rightly."""
    kept = [one for one in scored if one.chance is not None and not one.refusal]
    if not kept:
        raise Refused("the gates let none of the inputs pass")
    right = rightly(card, np.array([one.truth for one in kept]), np.array([one.chance for one in kept]))
    return np.array([one.uncertainty for one in kept], np.float64)[right]


def _held(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """What is held back with the card's gate, by which gate, and without it, each with its interval."""
    kept = [(one, one.chance) for one in scored if one.chance is not None]
    marked = [replace(one, doubts=doubts(card, chance, one.error, one.uncertainty)) for one, chance in kept]
    before = [replace(one, doubts=doubts(card, chance, one.error, None)) for one, chance in kept]
    return {**_some(with_intervals(card, marked)), "without": _some(with_intervals(card, before))}


def _some(told: Mapping[str, Any]) -> dict[str, Any]:
    """TOLD of the figures, with their intervals."""
    own = {name: told[name] for name in TOLD if name in told}
    return {**own, "intervals": {name: ends for name, ends in told["intervals"].items() if name in TOLD}}
