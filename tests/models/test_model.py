"""What holds for every kind of model."""

from dataclasses import replace

import pytest

from models.catalogue import load
from stream.errors import Fatal


@pytest.mark.parametrize("kind", ["scan", "lab", "note"])
def test_a_model_that_misses_its_golden_case_is_not_ready(kind, request):
    card = request.getfixturevalue(f"{kind}_card")
    expected = [1 - chance for chance in card.golden["probabilities"]]
    model = load(replace(card, golden={"probabilities": expected, "error": 0.0}))
    with pytest.raises(Fatal, match="golden case"):
        model.warm_up()


@pytest.mark.parametrize("kind", ["scan", "lab", "note"])
def test_a_batch_has_a_size(kind, request):
    assert request.getfixturevalue(f"{kind}_model").batch_size >= 16
