"""How well a card does on labelled inputs: every one is scored at the card's threshold, the gates are told beside."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from models.card import Card
from models.catalogue import load
from models.device import check_device
from models.example import Example
from models.examples import read_inputs
from models.figures import report
from models.left_out import left_out
from models.model import Model
from models.score import score, write_scores
from models.silent import Silent
from models.silent_report import silent_report
from models.split import PARTS, Split
from stream.errors import Refused


def told_of(model: Model, examples: Iterable[Example]) -> dict[str, Any]:
    """The report of a model over examples, whatever it says of them."""
    if isinstance(model, Silent):
        return silent_report(model, list(examples))
    return report(model.card, list(score(model, examples)))


def part_of(card: Card, examples: Sequence[Example], part: str) -> Sequence[Example]:
    """The examples of one part of the card's own split, or ``all``; raises Refused for a part that there is not."""
    if part == "all":
        return examples
    if part not in PARTS:
        raise Refused(f"no part is called {part}: all, {', '.join(PARTS)}")
    return Split.from_recipe(card.split).parts(examples)[part]


def evaluate(
    card: Card | str | Path,
    data: str | Path,
    *,
    part: str = "all",
    device: str = "cpu",
    scores: str | Path | None = None,
    page: str | Path | None = None,
) -> dict[str, Any]:
    """The figures of a card (or its name or folder) over the labelled inputs under ``data``.

    ``part``: all, or the train, validation or test part of the card's split; ``scores``: a CSV to write with each
    input's id, label, probabilities, reconstruction error, what a gate says and whether it is uncertain; ``page``: an HTML
    file to write with pictures. Intended use is not checked: plain pictures and notes carry no facts. Raises Refused for a
    device that is not here.
    """
    check_device(device)
    model = load(card, device)
    judges = not isinstance(model, Silent)
    examples = part_of(model.card, read_inputs(model.card.kind, Path(data), judges=judges), part)
    scored = list(score(model, examples)) if judges else []
    told = silent_report(model, examples) if isinstance(model, Silent) else report(model.card, scored)
    told = {**told, "part": part, **results_left_out(model.card.kind, examples)}
    if scores is not None:
        write_scores(model.card, scored, Path(scores))
    if page is not None:
        text = import_module("models.page").page(model.card, scored, told)  # draws: matplotlib is loaded only now
        Path(page).write_text(text, encoding="utf-8")
    return told


def results_left_out(kind: str, examples: Iterable[Example]) -> dict[str, Any]:
    """``results_left_out`` as ``models.left_out`` has it; only a lab model's inputs are converted at all."""
    return {"results_left_out": left_out(example.open() for example in examples)} if kind == "lab" else {}
