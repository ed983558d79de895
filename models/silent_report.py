"""How well a model that makes no finding does: its own figures over the inputs, with intervals, by group of patients."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.bootstrap import intervals
from models.example import Example
from models.groups import groups_of
from models.interface import Prepared
from models.silent import Silent
from stream.errors import Rejected


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One input: the model's own figures of it, and what it wrote."""

    example: Example
    groups: tuple[str, ...]
    figures: dict[str, float]
    told: str


def measured(model: Silent, examples: Sequence[Example]) -> Iterator[Measured | None]:
    """Every input measured, one batch in memory at a time; None for one that cannot be read."""
    for start in range(0, len(examples), model.batch_size):
        read: list[tuple[Example, Prepared, tuple[str, ...]]] = []
        for example in examples[start : start + model.batch_size]:
            sample = example.open()
            try:
                read.append((example, model.read(sample), groups_of(sample.facts)))
            except Rejected:
                yield None
        if read:
            yield from _measured(model, read)


def _measured(model: Silent, read: Sequence[tuple[Example, Prepared, tuple[str, ...]]]) -> Iterator[Measured]:
    batch = [prepared for _, prepared, _ in read]
    with torch.inference_mode():
        figures = model.measures(batch, [example for example, _, _ in read])
        texts = model.tell(batch)
    for place, (example, _, groups) in enumerate(read):
        own = {name: float(values[place]) for name, values in figures.items()}
        yield Measured(example=example, groups=groups, figures=own, told=texts[place])


def silent_report(model: Silent, examples: Sequence[Example]) -> dict[str, Any]:
    """The same outline as ``models.figures.report``, without gates."""
    every = list(measured(model, examples))
    kept = [one for one in every if one is not None]
    groups = sorted({group for one in kept for group in one.groups})
    return {
        "model": model.card.name,
        "version": model.card.version,
        "model_digest": model.card.digest,
        **_with_intervals(model, kept),
        "unreadable": len(every) - len(kept),
        "groups": {group: _with_intervals(model, [one for one in kept if group in one.groups]) for group in groups},
    }


def _with_intervals(model: Silent, kept: Sequence[Measured]) -> dict[str, Any]:
    def figures(at: NDArray[np.intp]) -> dict[str, Any]:
        chosen = [kept[place] for place in at]
        means = {name: float(np.mean([one.figures[name] for one in chosen])) for name in chosen[0].figures}
        return {**means, **model.summary([one.told for one in chosen], [one.example.target for one in chosen])}

    if not kept:
        return {"n": 0, "intervals": {}}
    patients = [one.example.group or one.example.id for one in kept]
    return {"n": len(kept), **figures(np.arange(len(kept))), "intervals": intervals(figures, patients)}
