"""Prints docs/models.md: what the reference cards measure, from their card.json, beside.json and folds.json.

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
#: What networks without findings have instead.
SILENT = ("mean_absolute_error", "word_accuracy")
HEAD = """# What the reference cards measure

Written by `python docs/quality.py --write` from the files beside each card. Splits are ours (by patient, from the public
training sets: `split` in each card); brackets are 95 % intervals, patients drawn with replacement. The official test sets
were never used. At the card's stored threshold; how each figure is taken: [train-a-model.md](train-a-model.md). Seconds of the
textbook's networks are on two cores that other work shared.
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


def beside_table(card: Mapping[str, Any], beside: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    """The card and the textbook's networks on the same test part."""
    test = card["quality"]["test"]
    yield f"Test part, n = {test['n']}, beside the textbook's networks on the same split:"
    yield ""
    yield row("network", ("epochs", "seconds, device", *names, *SILENT))
    yield "|---" * (3 + len(names) + len(SILENT)) + "|"
    rows = {f"**{card['name']} {card['version']}**": {**card["training"], "test": test}, **beside.get("networks", {})}
    for name, one in rows.items():
        story = (str(one.get("epochs", "–")), f"{one.get('seconds', '–')}, {one.get('device', 'cpu')}")
        yield row(name, (*story, *(cell(one["test"], figure) for figure in (*names, *SILENT))))
    yield ""
    if beside and beside["split"] != card["split"]:
        yield "The networks were measured on another split than the card's: run the commands again."
        yield ""
    for one in beside.get("networks", {}).values():
        yield f"    {one['command']}"


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
        lines += [f"## {name}", "", *beside_table(read(folder, "card.json"), read(folder, "beside.json"), figures)]
        lines += [*folds_table(kind, data, name, read(folder, "folds.json"), figures), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
