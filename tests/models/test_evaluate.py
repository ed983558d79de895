"""Evaluation takes one part of the card's own split, on a device that is there."""

import pytest

from models.evaluate import evaluate
from models.split import Split
from stream.errors import Refused


def test_the_parts_are_the_ones_of_the_card(lab_card, stays):
    counts = [evaluate(lab_card, stays, part=part)["n"] for part in ("train", "validation", "test")]
    assert sum(counts) == 240
    assert counts == list(lab_card.training["n"].values())
    assert Split.from_recipe(lab_card.split) == Split(validation=0.12, test=0.10)


def test_a_part_that_does_not_exist_is_refused(lab_card, stays):
    with pytest.raises(Refused, match="no part"):
        evaluate(lab_card, stays, part="rest")


def test_a_device_that_is_not_there_is_refused(lab_card, stays):
    with pytest.raises(Refused, match="cuda:99 cannot be used here: "):
        evaluate(lab_card, stays, device="cuda:99")
