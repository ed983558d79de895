"""What a training is asked for, and the parts of the labelled inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models.about import ABOUT_FILE, check_about, read_about
from models.card import Card
from models.example import Example
from models.examples import read_inputs
from models.recipe import Recipe, recipe_of
from models.split import Split
from stream.errors import Refused

PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One training.

    ``about``: what ``about.json`` in ``out`` may say too (name, version, task, positive, intended_use, window, config, split,
    use_prevalence, operating_point, sources, licence, notes). ``init``: a card of the same architecture to start from;
    ``freeze``: of what it gave only the last layer is trained on. ``architecture``: a network of the textbook instead of the
    kind's own. ``refit``: when the validation part has fixed all that it fixes, the network is trained again on both parts.
    ``precision``: ``bf16`` for mixed precision. ``gate``: whether the autoencoder of the gate after the model is trained, for
    nothing where a network is only to be measured. ``reuse``: a card in ``out`` that this very training left is given back.
    """

    kind: str
    data: Path
    out: Path
    seed: int = 0
    device: str = "cpu"
    epochs: int | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    init: Card | None = None
    freeze: bool = False
    refit: bool = False
    architecture: str | None = None
    precision: str = "fp32"
    reuse: bool = False
    gate: bool = True

    def recipe(self) -> Recipe:
        """The kind's recipe, with what the plan wants otherwise; raises Refused for what there is not."""
        if self.precision not in PRECISIONS:
            raise Refused(f"no precision is called {self.precision}: {', '.join(PRECISIONS)}")
        if self.freeze and not self.init:
            raise Refused("there are no weights to freeze without a card to start from")
        if self.epochs is not None and self.epochs < 1:
            raise Refused("a training has at least one epoch")
        recipe = recipe_of(self.kind, self.architecture)
        if not self.gate:
            recipe = replace(recipe, autoencoder_epochs=0)
        return replace(recipe, epochs=self.epochs or recipe.epochs, precision=self.precision)

    def told(self) -> dict[str, Any]:
        """``about`` over what the file in ``out`` says; raises Refused for what nobody reads or that cannot be."""
        about = {**read_about(self.out), **self.about}
        check_about(about)
        if "window" in about and self.kind != "lab":
            raise Refused(f"a {self.kind} model has no window of results", where=ABOUT_FILE)
        return about


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The examples of one split."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]

    @property
    def every(self) -> list[Example]:
        """Those of all three."""
        return [*self.train, *self.validation, *self.test]

    @property
    def multi_label(self) -> bool:
        """Whether any number of labels may be true of one input."""
        return self.train[0].labels is not None


def parts_of(plan: Plan, split: Split, *, judges: bool) -> Parts:
    """The labelled inputs in their parts; raises Refused when a part is empty or there are no two labels to tell apart."""
    parts = split.parts(read_inputs(plan.kind, plan.data, judges=judges))
    for name, part in parts.items():
        if not part:
            raise Refused(f"too few groups: none fell into the {name} part")
    found = Parts(**parts)
    if judges and len({example.label for example in found.train}) < 2:
        raise Refused("the training part needs at least two labels")
    return found
