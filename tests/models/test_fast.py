"""Other ways to run a network are taken only where they say the same."""

import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from models import fast
from models.catalogue import load
from models.fast import speed_up
from models.fused import fuse
from models.golden import check_samples
from models.judge import probabilities


@pytest.fixture
def model(scan_card):
    return load(scan_card)


def chances(model):
    told = model.infer([model.read(sample) for sample in check_samples(model.card)])
    return probabilities(model.card, np.stack([one.logits for one in told]))


def norms(network: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in network.modules())


@pytest.mark.parametrize("runtime", ["torch", "openvino", "onnx"])
def test_every_runtime_gives_the_same_numbers_alone_and_in_any_batch(model, runtime):
    if runtime != "torch":
        pytest.importorskip({"openvino": "openvino", "onnx": "onnxscript"}[runtime])
    before = chances(model)
    assert speed_up(model, runtime) == runtime
    assert np.abs(chances(model) - before).max() < 1e-5
    prepared = [model.read(sample) for sample in check_samples(model.card)]
    for size in (1, 3, 5):
        alone = [model.infer([one])[0].logits for one in prepared[:size]]
        assert np.allclose([one.logits for one in model.infer(prepared[:size])], alone, atol=1e-4)
    model.warm_up()


def test_norms_are_folded_into_the_convolutions_before_them_and_the_network_itself_stays(model):
    plain, pictures = model.network, (torch.randn(2, 1, model.side, model.side),)
    fused = fuse(plain, pictures)
    assert norms(plain) > 0 == norms(fused)
    assert torch.allclose(fused(*pictures), plain(*pictures), atol=1e-4)


def test_a_norm_without_a_convolution_before_it_stays():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 3)).eval()
    assert fuse(network, (torch.randn(1, 1, 8, 8),)) is None


def test_a_way_that_says_something_else_is_refused_and_the_log_says_so(model, monkeypatch, caplog):
    class Wrong(nn.Module):
        def forward(self, pictures):
            return plain(pictures) + 0.02

    plain = model.network
    monkeypatch.setitem(fast.ENGINES, "openvino", lambda *_: Wrong())
    monkeypatch.setitem(fast.ENGINES, "torch", lambda *_: None)
    assert speed_up(model, "openvino") == ""
    assert model.network is plain
    assert "openvino is refused" in caplog.text


def test_a_network_that_an_engine_does_not_take_answers_in_plain_torch(lab_card, caplog):
    pytest.importorskip("openvino")
    model = load(lab_card)
    before = chances(model)
    speed_up(model, "openvino")
    assert "openvino" in caplog.text
    assert np.array_equal(chances(model), before)


def test_a_network_without_norms_to_fold_is_as_fast_as_it_gets_in_plain_torch_and_no_warning_is_given(note_card, caplog):
    assert speed_up(load(note_card)) == ""
    assert not caplog.records


def test_a_note_has_no_other_way_and_goes_on(note_card, caplog):
    model = load(note_card)
    assert speed_up(model, "onnx") == ""
    assert "does not run on onnx" in caplog.text
    model.warm_up()


ROUGH = {"bfloat16": True, "check": {"auroc": 0.98, "auroc_bfloat16": 0.975}}
FINE = {"bfloat16": True, "check": {"auroc": 0.98, "auroc_bfloat16": 0.9795}}


@pytest.mark.parametrize(("speed", "expected"), [({"bfloat16": True}, "torch"), (ROUGH, "torch"), (FINE, "torch in bfloat16")])
def test_bfloat16_is_taken_only_with_a_check_that_no_auroc_is_lost(scan_card, monkeypatch, speed, expected):
    monkeypatch.setattr(fast, "has_bfloat16", lambda: True)
    monkeypatch.setattr(fast, "TOLERANCE", 1e-5)  # the tiny model rounds to less than the shipped one
    assert speed_up(load(replace(scan_card, speed=speed)), "torch") == expected


def test_where_the_processor_has_no_bfloat16_it_is_not_tried(scan_card, monkeypatch):
    monkeypatch.setattr(fast, "has_bfloat16", lambda: False)
    assert speed_up(load(replace(scan_card, speed=FINE)), "torch") == "torch"


def test_the_site_goes_before_the_setting_and_the_setting_before_the_card(scan_card, monkeypatch):
    tried = []
    for engine in fast.ENGINES:
        monkeypatch.setitem(fast.ENGINES, engine, lambda *_, engine=engine: tried.append(engine))
    site = replace(scan_card.site, runtime="openvino")
    for card, setting in (
        (replace(scan_card, site=site), "onnx"),
        (scan_card, "onnx"),
        (replace(scan_card, speed={"runtime": "openvino"}), ""),
    ):
        speed_up(load(card), setting)
    assert tried[0::2] == ["openvino", "onnx", "openvino"]


def test_a_check_sample_differs_from_the_others(scan_card, lab_card, note_card):
    for card in (scan_card, lab_card, note_card):
        contents = [sample.contents[0] for sample in check_samples(card)]
        assert len(set(contents)) == len(contents)
        assert contents == [sample.contents[0] for sample in check_samples(card)]


def test_compiling_by_openvino_sends_no_telemetry():
    pytest.importorskip("openvino")
    program = (
        "import socket, torch\n"
        "def refuse(*_):\n    raise SystemExit('a connection was made')\n"
        "socket.socket.connect = refuse\n"
        "from models.runtimes import OpenVinoNetwork\n"
        "network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1)).eval()\n"
        "OpenVinoNetwork(network, (torch.randn(2, 1, 2, 2),), bfloat16=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(autouse=True)
def _told(caplog):
    caplog.set_level(logging.INFO, logger="models.fast")
