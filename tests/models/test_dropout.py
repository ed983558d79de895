"""Monte Carlo dropout: many judgements in one forward pass, the same for an input whatever its batch."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models.card import UNCERTAINTY, BadCard
from models.catalogue import load
from models.dropout import LastDropout, masks, sampling
from models.examples import read_examples
from models.fast import speed_up

KINDS = [("scan", "scans"), ("lab", "stays"), ("note", "notes")]
PASSES = 8


def asked(card):
    return load(replace(card, gates={**card.gates, UNCERTAINTY: {"passes": PASSES, "limit": 0.1}}))


def prepared(model, source, n=5):
    return [model.read(example.open()) for example in read_examples(model.card.kind, source)[:n]]


@pytest.mark.parametrize(("kind", "source"), KINDS)
def test_an_input_is_judged_the_same_twice_and_in_any_batch(kind, source, request):
    model, again = (asked(request.getfixturevalue(f"{kind}_card")) for _ in range(2))
    batch = prepared(model, request.getfixturevalue(source))
    together = model.infer(batch)
    assert together[0].passes.shape == (PASSES, len(model.card.labels))
    for one, other in zip(together, reversed(again.infer(batch[::-1])), strict=True):
        assert np.allclose(one.passes, other.passes, atol=1e-4)
    for one, alone in zip(together, batch, strict=True):
        assert np.allclose(one.passes, model.infer([alone])[0].passes, atol=1e-4)


@pytest.mark.parametrize(("kind", "source"), KINDS)
def test_the_findings_are_those_without_dropout_and_the_passes_differ(kind, source, request):
    model, plain = asked(request.getfixturevalue(f"{kind}_card")), request.getfixturevalue(f"{kind}_model")
    batch = prepared(model, request.getfixturevalue(source))
    for one, other in zip(model.infer(batch), plain.infer(batch), strict=True):
        assert np.allclose(one.logits, other.logits, atol=1e-4)
        assert one.passes.std(axis=0).min() > 0
        assert other.passes is None
    assert model.logits(model.expand(batch)).shape == (5, len(model.card.labels))


@pytest.mark.parametrize(("kind", "source"), KINDS)
def test_a_pass_is_what_the_network_gives_with_those_units_left_out(kind, source, request):
    model = asked(request.getfixturevalue(f"{kind}_card"))
    batch = prepared(model, request.getfixturevalue(source))
    layers = [part for part in model.network.modules() if isinstance(part, LastDropout)]

    def left_out(number):
        def after(layer, rows, _):
            kept = masks(layers.index(layer), PASSES, rows[0].shape[-1], layer.p)[1 + number]
            return rows[0] * kept

        return after

    for number in (0, PASSES - 1):
        hooks = [layer.register_forward_hook(left_out(number)) for layer in layers]
        with torch.inference_mode():
            expected = model.logits(model.expand(batch)).numpy()
        for hook in hooks:
            hook.remove()
        assert np.allclose([one.passes[number] for one in model.infer(batch)], expected, atol=1e-4)


def test_a_mask_leaves_its_share_out_and_the_rest_counts_more():
    drawn = masks(0, 400, 50, 0.4)
    assert torch.equal(drawn[0], torch.ones(1, 50))
    assert drawn[1:].unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    assert (drawn[1:] == 0).float().mean() == pytest.approx(0.4, abs=0.02)
    assert not torch.equal(drawn, masks(1, 400, 50, 0.4))


def test_a_network_without_dropout_in_its_last_layers_is_refused(scan_card):
    for network in (nn.Sequential(nn.Dropout(0.3), nn.Linear(2, 1)), nn.Sequential(LastDropout(0.0), nn.Linear(2, 1))):
        with pytest.raises(BadCard, match="no dropout"), sampling(network, PASSES):
            pytest.fail("there is nothing to draw")
    model = asked(scan_card)
    model.network = nn.Sequential(nn.Flatten(), nn.LazyLinear(1))
    with pytest.raises(BadCard, match="no dropout"):
        model.warm_up()


def test_folded_norms_keep_the_passes_and_an_engine_that_has_none_is_refused(scan_card, scans, caplog):
    caplog.set_level(logging.INFO, logger="models.fast")
    model = asked(scan_card)
    batch = prepared(model, scans)
    before = model.infer(batch)
    assert speed_up(model, "openvino") == "torch"
    assert "does not run on openvino" in caplog.text
    for one, other in zip(model.infer(batch), before, strict=True):
        assert np.allclose(one.passes, other.passes, atol=1e-4)
