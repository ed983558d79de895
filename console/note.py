"""A note's text in pieces, those marked that the model leaned on. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Steps of colour, from faint to strong.
STEPS = 5
#: Weights below this share of the greatest are not marked.
LEAST = 0.18


def pieces(text: str, tokens: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The text from beginning to end: ``{"text", "css", "weight"}``; ``css`` is empty where nothing is marked.

    ``tokens``: ``start`` and ``end`` in characters, ``weight`` above 0 for the finding and below 0 against it.
    """
    most = max((abs(float(one["weight"])) for one in tokens), default=0.0)
    return list(_cut(text, sorted(tokens, key=lambda one: int(one["start"])), most)) if most else [_piece(text)]


def _cut(text: str, tokens: Sequence[Mapping[str, Any]], most: float) -> Iterator[dict[str, Any]]:
    reached = 0
    for one in tokens:
        start, end, weight = int(one["start"]), int(one["end"]), float(one["weight"])
        share = abs(weight) / most
        if share < LEAST or not reached <= start < end <= len(text):
            continue
        if start > reached:
            yield _piece(text[reached:start])
        step = min(int(share * STEPS) + 1, STEPS)
        yield _piece(text[start:end], f"{'towards' if weight > 0 else 'against'} step{step}", weight)
        reached = end
    if reached < len(text):
        yield _piece(text[reached:])


def _piece(text: str, css: str = "", weight: float = 0.0) -> dict[str, Any]:
    return {"text": text, "css": css, "weight": weight}
