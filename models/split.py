"""Which part of a labelled set an example belongs to: by hash of its group, so that it never changes or leaks."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from models.example import Example
from stream.errors import Refused

PARTS = ("train", "validation", "test")
#: Test, validation and something to train on.
LEAST_FOLDS = 3


@dataclass(frozen=True, kw_only=True)
class Split:
    """Shares of the groups that are kept for validation and test. ``salt`` makes another draw of the same shares.

    With ``folds`` the groups are cut into as many alike: fold ``fold`` is tested, the next one validates.
    """

    validation: float = 0.15
    test: float = 0.15
    salt: str = "dxstream"
    folds: int = 0
    fold: int = 0

    def __post_init__(self) -> None:
        """Raises Refused where some part could have no share."""
        if min(self.validation, self.test) <= 0 or not self.validation + self.test < 1:
            raise Refused("validation and test are shares above 0 that together leave something to train on", where="split")
        if self.folds and (self.folds < LEAST_FOLDS or not 0 <= self.fold < self.folds):
            raise Refused(f"there are {LEAST_FOLDS} folds or more, and fold is a number from 0 to one less", where="split")

    def part(self, group: str) -> str:
        """``train``, ``validation`` or ``test``: sha256 of salt and group as a number in [0, 1), test from 0 on."""
        first = hashlib.sha256(f"{self.salt}:{group}".encode()).digest()[:8]
        place = int.from_bytes(first, "big") / 2**64
        if self.folds:
            ahead = (int(place * self.folds) - self.fold) % self.folds
            return {0: "test", 1: "validation"}.get(ahead, "train")
        if place < self.test:
            return "test"
        return "validation" if place < self.test + self.validation else "train"

    def parts(self, examples: Iterable[Example]) -> dict[str, list[Example]]:
        """The examples of each part."""
        found: dict[str, list[Example]] = {part: [] for part in PARTS}
        for example in examples:
            found[self.part(example.group)].append(example)
        return found

    def recipe(self) -> dict[str, Any]:
        """As the card stores it; ``from_recipe`` reads it."""
        return {"by": "sha256(salt:group)", **asdict(self)}

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any]) -> "Split":
        """The split that a card was trained with."""
        return cls(**{one.name: recipe[one.name] for one in fields(cls) if one.name in recipe})
