"""How well a card does on labelled inputs: every one is scored at the card's threshold, the gates are told beside."""

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bootstrap import intervals
from models.card import Card
from models.catalogue import load
from models.device import check_device
from models.example import Example
from models.examples import read_examples
from models.groups import groups_of
from models.interface import Prepared
from models.judge import probabilities, unsure
from models.left_out import left_out
from models.metrics import at_threshold, held_back, many_classes, many_labels, share, two_classes
from models.model import Model
from models.silent import Silent
from models.silent_report import silent_report
from models.site import Site
from models.split import PARTS, Split
from models.truth import truth_of
from stream.errors import Refused, Rejected

#: The figures of each group of patients.
BY_GROUP = (
    *("n", "accuracy", "sensitivity", "specificity", "precision", "f1", "f1_macro"),
    *("auroc", "auprc", "min_se_ppv", "brier", "ece"),
)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One labelled input as the model sees it.

    ``truth``: as ``models.truth`` has it; ``patient``: what the split keeps together; ``groups``: sex, age band, care unit;
    ``chance``: (labels,) calibrated, None when there was nothing to compute with; ``error``: the autoencoder's; ``refusal``: what a
    gate says, empty when all let it pass; ``uncertain``: what the gate after the model says, whether or not another refuses.
    """

    id: str
    label: str
    truth: NDArray[np.int64]
    patient: str = ""
    groups: tuple[str, ...] = ()
    chance: NDArray[np.float64] | None = None
    error: float = math.nan
    refusal: str = ""
    uncertain: bool = False

    @property
    def held(self) -> bool:
        """Whether it would be held back: refused by a gate or marked uncertain."""
        return bool(self.refusal) or self.uncertain


def score(model: Model, examples: Iterable[Example]) -> Iterator[Scored]:
    """Every example scored, one batch in memory at a time."""
    waiting: list[tuple[Scored, Prepared]] = []
    for example in examples:
        sample = example.open()
        truth = truth_of(model.card, example)
        one = Scored(id=example.id, label=example.label, truth=truth, patient=example.group, groups=groups_of(sample.facts))
        try:
            waiting.append((one, model.read(sample)))
        except Rejected as refusal:
            yield replace(one, refusal=refusal.reason)
        if len(waiting) == model.batch_size:
            yield from _scored(model, waiting)
            waiting = []
    yield from _scored(model, waiting)


def _scored(model: Model, batch: Sequence[tuple[Scored, Prepared]]) -> Iterator[Scored]:
    card = replace(model.card, site=Site())  # the card itself is measured
    told = model.infer([prepared for _, prepared in batch])
    for (one, prepared), scores in zip(batch, told, strict=True):
        chance = probabilities(card, scores.logits)
        refusal, uncertain = model.refusal(prepared) or model.refusal_after(scores), unsure(card, chance, scores.error)
        yield replace(one, chance=chance, error=scores.error, refusal=refusal, uncertain=uncertain)


def figures(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """Every figure over the inputs that could be scored, at the card's threshold; without any, only how many: 0."""
    kept = [one for one in scored if one.chance is not None]
    if not kept:
        return {"n": 0}
    found = _measure(card, kept)(np.arange(len(kept)))
    if card.exclusive:
        return found
    told = thresholds(card)
    return {**found, "threshold": told[0] if len(told) == 1 else told, "operating_point": card.operating_point}


def _measure(card: Card, kept: Sequence[Scored]) -> Callable[[NDArray[np.intp]], dict[str, Any]]:
    """What gives every figure over those of ``kept`` at some places."""
    truth, chance = np.array([one.truth for one in kept]), np.array([one.chance for one in kept])
    held = np.array([one.held for one in kept])
    right = rightly(card, truth, chance) if kept else held
    return lambda at: {**plain_figures(card, truth[at], chance[at]), **held_back(right[at], held[at])}


def thresholds(card: Card) -> list[float]:
    """Each label's, one half where the card has none."""
    return [card.thresholds.get(label, 0.5) for label in card.labels]


def rightly(card: Card, truth: NDArray[np.integer[Any]], chance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether what is told is so: the likeliest class, the finding at its threshold, or every label at its own."""
    if card.exclusive:
        return np.asarray(chance.argmax(axis=1) == truth)
    return np.asarray(((chance >= np.array(thresholds(card))) == (truth.reshape(len(chance), -1) == 1)).all(axis=1))


def plain_figures(card: Card, truth: NDArray[np.integer[Any]], chance: NDArray[np.float64]) -> dict[str, Any]:
    """The figures of (n,) class numbers or (n, labels) of 0 and 1, and (n, labels) probabilities."""
    if card.exclusive:
        abstained = float(np.mean(chance.max(axis=1) < card.abstention))
        return {**many_classes(truth, chance, card.labels), "abstained": abstained}
    points = _points(card, truth.reshape(len(chance), -1), chance)
    if card.multi_label:
        return {**many_labels(truth, chance, card.labels, thresholds(card)), "operating_points": points}
    return {**two_classes(truth, chance[:, 0], thresholds(card)[0]), "operating_points": points}


def _points(card: Card, truth: NDArray[np.integer[Any]], chance: NDArray[np.float64]) -> dict[str, Any]:
    """The figures that change with the threshold at each named one; where several labels may be true it is named with its own."""
    found = {}
    for name, threshold in card.operating_points.items():
        label = name.rpartition(": ")[0] if card.multi_label else card.labels[0]
        if label in card.labels:
            place = card.labels.index(label)
            told = at_threshold(truth[:, place], chance[:, place], threshold)
            found[name] = {figure: value for figure, value in told.items() if figure != "confusion"}
    return found


def with_intervals(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """``figures``, and ``intervals``: of each number the 95 % interval over draws of patients."""
    kept = [one for one in scored if one.chance is not None]
    found = intervals(_measure(card, kept), [one.patient or one.id for one in kept])
    return {**figures(card, scored), "intervals": found}


def report(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """Figures over all inputs, over those that every gate lets pass, and what the gates refuse."""
    accepted = [one for one in scored if not one.refusal]
    reasons = Counter(one.refusal.partition(":")[0] for one in scored if one.refusal)
    return {
        "model": card.name,
        "version": card.version,
        "model_digest": card.digest,
        **with_intervals(card, scored),
        "unreadable": sum(one.chance is None for one in scored),
        "coverage": share(len(accepted), len(scored)),
        "rejected_by": dict(reasons.most_common()),
        "accepted": with_intervals(card, accepted),
        "groups": by_group(card, scored),
    }


def by_group(card: Card, scored: Sequence[Scored]) -> dict[str, Any]:
    """The main figures of each group of patients, all its inputs, with their intervals."""
    found = {}
    for group in sorted({group for one in scored for group in one.groups}):
        told = with_intervals(card, [one for one in scored if group in one.groups])
        between = {name: ends for name, ends in told["intervals"].items() if name in BY_GROUP}
        found[group] = {**{name: told.get(name) for name in BY_GROUP}, "intervals": between}
    return found


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
    examples = part_of(model.card, read_examples(model.card.kind, Path(data)), part)
    scored = [] if isinstance(model, Silent) else list(score(model, examples))
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


def write_scores(card: Card, scored: Iterable[Scored], path: Path) -> None:
    """One row an input; probabilities in columns named as the findings."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", *card.labels, "reconstruction_error", "refusal", "uncertain"])
        for one in scored:
            chances = [""] * len(card.labels) if one.chance is None else [f"{chance:.9f}" for chance in one.chance]
            writer.writerow([one.id, one.label, *chances, f"{one.error:.6g}", one.refusal, int(one.uncertain)])
