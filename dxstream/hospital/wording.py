"""The text of a note, put together from sentences of one specialty. Knows no message."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

#: Section → (heading, how many of the specialty's own sentences, how many general ones): least and most.
SECTIONS: Mapping[str, tuple[str, tuple[int, int], tuple[int, int]]] = {
    "reason": ("REASON FOR VISIT", (1, 1), (0, 0)),
    "history": ("HISTORY OF PRESENT ILLNESS", (4, 6), (2, 5)),
    "exam": ("PHYSICAL EXAMINATION", (2, 5), (1, 4)),
    "assessment": ("IMPRESSION", (1, 2), (0, 0)),
    "plan": ("PLAN", (2, 3), (1, 2)),
}


@cache
def sentences() -> Mapping[str, Any]:
    """``specialties.toml``."""
    return tomllib.loads((Path(__file__).parent / "specialties.toml").read_text(encoding="utf-8"))


def specialties() -> list[str]:
    """Their names, as the reference card has them."""
    return [one["name"] for one in sentences()["specialty"]]


def write_note(rng: np.random.Generator, specialty: int) -> str:
    """A note of about 200 to 450 words, one section a paragraph."""
    own, general = sentences()["specialty"][specialty], sentences()["general"]
    slots = _slots(rng, own)
    paragraphs = []
    for section, (heading, count, general_count) in SECTIONS.items():
        lines = _draw(rng, own[section], count) + _draw(rng, general.get(section, []), general_count)
        text = " ".join(_fill(line, slots) for line in lines)
        paragraphs.append(f"{heading}: {text}")
    return "\n".join(paragraphs)


def _slots(rng: np.random.Generator, own: Mapping[str, Any]) -> dict[str, str]:
    return {
        "age": str(rng.integers(own.get("youngest", 24), own.get("oldest", 82))),
        "who": own.get("only") or str(rng.choice(("man", "woman"))),
        "side": str(rng.choice(("left", "right"))),
        "days": str(rng.integers(2, 8)),
        "weeks": str(rng.integers(2, 9)),
        "months": str(rng.integers(2, 11)),
    }


def _draw(rng: np.random.Generator, lines: list[str], count: tuple[int, int]) -> list[str]:
    """Some of the lines, in the order in which they stand."""
    many = min(int(rng.integers(count[0], count[1] + 1)), len(lines))
    return [lines[place] for place in sorted(rng.choice(len(lines), many, replace=False))] if many else []


def _fill(line: str, slots: Mapping[str, str]) -> str:
    text = line.format_map(slots)
    return text[0].upper() + text[1:]
