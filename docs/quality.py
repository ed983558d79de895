"""Prints docs/models.md: what the reference cards measure, from their card.json, test.json, beside.json and folds.json.

``python docs/quality.py --write`` renews it; a test holds the two together.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "models" / "weights"
PAGE = ROOT / "docs" / "models.md"

#: Card → kind, where its data lie (docs/train-a-model.md), and the figures that tell.
CARDS = {
    "scan-chest-pneumonia": ("scan", "cxr/train", ("auroc", "accuracy", "sensitivity", "specificity", "auprc", "ece")),
    "lab-icu-mortality": ("lab", "icu2012", ("auroc", "auprc", "min_se_ppv", "brier", "ece")),
    "note-specialty": ("note", "notes", ("f1_macro", "accuracy", "auroc", "ece")),
}
#: What the gates would have done, of all inputs.
HELD = ("coverage", "held_back", "held_back_of_errors", "held_back_of_correct")
#: What networks without findings have instead.
SILENT = ("mean_absolute_error", "word_accuracy")
HEAD = """# What the reference cards measure

Written by `python docs/quality.py --write` from the files beside each card. Splits are ours (by patient, from the public
training sets: `split` in each card); brackets are 95 % intervals, patients drawn with replacement. The official test sets
were never used. At the card's stored threshold; how each figure is taken: [train-a-model.md](train-a-model.md). Seconds of the
textbook's networks are on cores that other work shared.

The first command under each card makes its report (pictures, classes or groups, operating points) as one HTML file, on exactly the
part that the card was never trained on, and the figures of its first table. What the cards do under a shift (adults, another
hospital) is not measured: we have no labelled data of that kind.
"""


def number(value: float | None) -> str:
    """Three decimals, small ones four, a dash for what there is not."""
    if value is None:
        return "–"
    return f"{value:.3f}" if abs(value) >= 0.1 else f"{value:.4f}"


def cell(figures: Mapping[str, Any], name: str) -> str:
    """A figure with its interval where there is one."""
    ends = figures.get("intervals", {}).get(name)
    return number(figures.get(name)) + (f" [{number(ends[0])}, {number(ends[1])}]" if ends else "")


def row(first: str, cells: Iterator[str] | tuple[str, ...]) -> str:
    """One line of a table."""
    return f"| {first} | " + " | ".join(cells) + " |"


def read(folder: Path, name: str) -> dict[str, Any]:
    """The JSON of a file, empty where it is not there."""
    path = folder / name
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def report_table(name: str, data: str, report: Mapping[str, Any], figures: tuple[str, ...]) -> Iterator[str]:
    """The card on its own test part: all inputs, those that every gate lets pass, groups of patients; and the command."""
    yield f"Test part, n = {report['n']}:"
    yield ""
    yield row("", ("n", *figures))
    yield "|---" * (2 + len(figures)) + "|"
    rows = {"all inputs": report, "that every gate lets pass": report["accepted"], **report["groups"]}
    for words, one in rows.items():
        yield row(words, (str(one["n"]), *(cell(one, figure) for figure in figures)))
    yield ""
    yield ", ".join(f"{figure} {cell(report, figure)}" for figure in HELD) + "."
    yield ""
    written = f"--report {name}.html --json > models/weights/{name}/test.json"
    yield f"    dxstream models evaluate {name} --data {data} --part test {written}"
    yield ""


def same(split: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two splits are one; folds that are 0 need not be said."""
    return {name: value for name, value in split.items() if value} == {name: value for name, value in other.items() if value}


def beside_table(
    card: Mapping[str, Any], test: Mapping[str, Any], beside: Mapping[str, Any], names: tuple[str, ...]
) -> Iterator[str]:
    """The card and the textbook's networks on the same test part."""
    yield "Beside the textbook's networks on the same part:"
    yield ""
    yield row("network", ("epochs", "seconds, device", *names, *SILENT))
    yield "|---" * (3 + len(names) + len(SILENT)) + "|"
    rows = {f"**{card['name']} {card['version']}**": {**card["training"], "test": test}, **beside["networks"]}
    for name, one in rows.items():
        story = (str(one["epochs"]), f"{one['seconds']}, {one.get('device', 'cpu')}")
        yield row(name, (*story, *(cell(one["test"], figure) for figure in (*names, *SILENT))))
    yield ""
    yield from beside_words(card, beside)
    for one in beside["networks"].values():
        yield f"    {one['command']}"


def beside_words(card: Mapping[str, Any], beside: Mapping[str, Any]) -> Iterator[str]:
    """What keeps the figures from being compared."""
    if not same(beside["split"], card["split"]):
        yield "The networks were measured on another split than the card's: run the commands again."
        yield ""
    told = card["prevalence"].get("calibrated_for")
    if told and any("calibrated_for" not in one for one in beside["networks"].values()):
        yield f"The networks were calibrated for validation's own prevalence, the card for {told:g}: `ece` does not compare."
        yield ""


def folds_table(kind: str, data: str, name: str, folds: Mapping[str, Any], figures: tuple[str, ...]) -> Iterator[str]:
    """Mean and spread between folds, and the command."""
    yield ""
    if folds:
        yield f"Cross-validation, {folds['folds']} folds, every patient tested once; standard deviation between folds:"
        yield ""
        yield row("", figures)
        yield "|---" * (1 + len(figures)) + "|"
        yield row(
            "mean ± spread", tuple(f"{number(folds['mean'].get(one))} ± {number(folds['spread'].get(one))}" for one in figures)
        )
    else:
        yield "Not cross-validated yet:"
    yield ""
    yield f"    mkdir -p cv/{name}; cp models/weights/{name}/about.json cv/{name}/"
    yield f"    dxstream models train {kind} --data {data} --out cv/{name} --folds 5"


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for name, (kind, data, figures) in CARDS.items():
        folder = WEIGHTS / name
        card, test = read(folder, "card.json"), read(folder, "test.json")
        lines += [f"## {name}", "", *report_table(name, data, test, figures)]
        lines += [*beside_table(card, test, read(folder, "beside.json"), figures)]
        lines += [*folds_table(kind, data, name, read(folder, "folds.json"), figures), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
