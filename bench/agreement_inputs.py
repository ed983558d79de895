"""The inputs of the agreement run: held-out ones, each with the case that carries it over the wire."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from wrapping import read_stay_rows, wrap_note, wrap_scan, wrap_stay

from dxstream.hospital.cases import Case
from models.card import Card
from models.example import Example
from models.examples import read_examples
from models.split import Split
from stream.errors import Refused
from stream.labs import Analytes

#: Kind of model → the reference card.
CARDS = {"scan": "scan-chest-pneumonia", "lab": "lab-icu-mortality", "note": "note-specialty"}
#: How long ago a picture was taken or a note written, and a patient came to intensive care.
LATELY, LONG_AGO = timedelta(hours=3), timedelta(days=5)
#: Every stay begins at another minute.
APART = timedelta(minutes=97)
#: Of stays without any result, which are alike without being the same.
EMPTY = hashlib.sha256(b"").digest()


@dataclass(frozen=True, kw_only=True)
class Held:
    """``examples``: held-out inputs of the card's kind; ``cases``: the same, in the same order, as they are sent."""

    card: Card
    examples: Sequence[Example]
    cases: Sequence[Case]


def held_out(card: Card, path: Path, n: int) -> list[Example]:
    """At most ``n`` inputs of the card's own test part, drawn by the hash of their id.

    Raises Refused when ``path`` is not what the card was trained from, or one of them was seen in training after all.
    """
    parts = Split.from_recipe(card.split).parts(read_examples(card.kind, path))
    counts = {name: len(part) for name, part in parts.items()}
    if counts != dict(card.training["n"]):
        raise Refused(f"{card.name} was trained from other inputs, {card.training['n']}; here are {counts}", where=str(path))
    chosen = sorted(parts["test"], key=lambda example: hashlib.sha256(example.id.encode()).digest())[:n]
    check_unseen(chosen, [*parts["train"], *parts["validation"]])
    return chosen


def check_unseen(chosen: Sequence[Example], seen: Sequence[Example]) -> None:
    """Raises Refused when a group or the very content of a chosen input was seen in training."""
    groups, contents = {example.group for example in seen}, {_content(example) for example in seen} - {EMPTY}
    for example in chosen:
        if example.group in groups or _content(example) in contents:
            raise Refused("an input that was seen in training", where=example.id)


def _content(example: Example) -> bytes:
    return hashlib.sha256(b"".join(example.open().contents)).digest()


def wrap_all(card: Card, path: Path, examples: Sequence[Example], now: datetime) -> list[Case]:
    """Each example as it is sent."""
    if card.kind == "lab":
        return _stays(path, examples, now)
    content = [example.open().contents[0] for example in examples]
    if card.kind == "scan":
        return [wrap_scan(one, now - LATELY) for one in content]
    return [wrap_note(one.decode(), now - LATELY) for one in content]


def _stays(path: Path, examples: Sequence[Example], now: datetime) -> list[Case]:
    if path.is_dir() and not list(path.glob("set-*/*.txt")):
        path = min(path.glob("*.tar*"))
    rows, analytes = read_stay_rows(path, [example.id for example in examples]), Analytes.read()
    return [wrap_stay(rows[example.id], now - LONG_AGO - APART * place, analytes) for place, example in enumerate(examples)]
