"""What is true of an example, in a card's own numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.card import Card
from models.example import Example
from stream.errors import Refused


def class_number(card: Card, label: str) -> int:
    """The place of a label among the card's classes, case aside; raises Refused when it is none of them."""
    names = [name.casefold() for name in card.classes]
    if label.casefold() not in names:
        raise Refused(f"label {label} is none of the card's: {', '.join(card.classes)}")
    return names.index(label.casefold())


def truth_of(card: Card, example: Example) -> NDArray[np.int64]:
    """() the class number, or (labels,) 0 and 1 where several may be true; raises Refused for a label of another card."""
    if not card.multi_label:
        return np.array(class_number(card, example.label), np.int64)
    row = np.zeros(len(card.labels), np.int64)
    for label in (example.label,) if example.labels is None else example.labels:
        row[class_number(card, label)] = 1
    return row


def truths(card: Card, examples: Sequence[Example]) -> NDArray[np.int64]:
    """(n,) or (n, labels) of several examples."""
    return np.stack([truth_of(card, example) for example in examples])
