"""What holds for every kind of model."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_samples import jpeg, picture

from models.catalogue import load
from models.golden import golden_sample
from models.scan import ScanModel
from stream.errors import Fatal, Temporary
from stream.judgement import Sample


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


@pytest.mark.parametrize(("error", "fate"), [(torch.OutOfMemoryError, Temporary), (torch.AcceleratorError, Fatal)])
def test_a_device_in_trouble_decides_the_fate_of_the_batch(error, fate, scan_card):
    class InTrouble(ScanModel):
        def logits(self, batch):
            raise error("device")

    model = InTrouble(scan_card)
    with pytest.raises(fate):
        model.infer([model.read(golden_sample(scan_card))])


def test_many_threads_prepare_the_same(scan_model):
    samples = [Sample(contents=(jpeg(picture(number % 2, number)),)) for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(scan_model.read, samples))
    alone = [scan_model.read(sample) for sample in samples]
    assert all(np.array_equal(one.arrays["image"], other.arrays["image"]) for one, other in zip(together, alone, strict=True))
