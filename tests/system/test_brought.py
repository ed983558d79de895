"""Models that somebody brings to a running installation: the page's own example, several labels, explanations on the side."""

import json
import shutil
import warnings
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from brought_samples import follow_the_page
from dicom_samples import file_of, projection
from started import Up, run, running_up, until
from torch import nn

from models.pin import pin

LABELS = ["effusion", "nodule", "device"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two cards of the page, and one with three labels of which any may be true: it says 0.88, 0.62 and 0.12 of everything."""
    with pytest.MonkeyPatch.context() as patch:
        folder = follow_the_page(tmp_path_factory.mktemp("page"), patch)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 3)).eval()
    network[2].weight.data.zero_()
    network[2].bias.data = torch.tensor([2.0, 1.0, -2.0])
    own = folder / "my-labels"
    own.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (torch.randn(1, 1, 64, 64),))
        torch.export.save(program, own / "model.pt2")
    content = json.loads((folder / "my-export" / "card.json").read_text())
    content |= {"name": "my-labels", "multi_label": True, "classes": LABELS, "labels": LABELS, "golden": {}, "files": {}}
    content |= {"thresholds": {"effusion": 0.5, "nodule": 0.6, "device": 0.5}, "temperature": [1.0, 2.0, 1.0], "offset": [0, 0, 0]}
    (own / "card.json").write_text(json.dumps(content))
    pin(own)
    return folder


@pytest.fixture(scope="module")
def answers(page: Path, tmp_path_factory: pytest.TempPathFactory):
    """One picture sent three times to one installation that never stops, each time another card answers; what was said."""
    place = tmp_path_factory.mktemp("brought")
    (place / "models").mkdir()
    told: dict[str, dict] = {}
    with running_up(place / "home", DXSTREAM_MODELS=str(place / "models"), DXSTREAM_EXPLAIN="on") as up:
        before = ""
        for name in ("my-export", "my-onnx", "my-labels"):
            shutil.copytree(page / name, place / "models" / name)
            for action, card in (("deactivate", before), ("activate", name)):
                done = run("models", action, card, home=up.home, DXSTREAM_MODELS=str(place / "models")) if card else None
                assert done is None or done.returncode == 0, done.stderr
            before = name
            told[name] = send_and_hear(up, name)
        until(lambda: up.ledger.count("kind", table="explanations").get(("heat_map",)) == 4, "everything is explained")
        told["explained"] = explain(up, place)
        told["workers"] = up.ledger.count("name", table="workers")
        yield told


def send_and_hear(up: Up, name: str) -> dict:
    grey = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)
    size = {"Rows": grey.shape[0], "Columns": grey.shape[1], "PixelData": grey.tobytes()}
    adult = {"PatientBirthDate": "19600301", "StudyDate": "20230302"}
    (up.home / "inbox" / f".{name}").write_bytes(file_of(projection(**size, **adult)))
    (up.home / "inbox" / f".{name}").rename(up.home / "inbox" / f"{name}.dcm")
    return until(lambda: next((one for one in up.ledger.predictions() if one["model"] == name), None), f"{name} answers")


def explain(up: Up, place: Path) -> dict[str, Path]:
    event = next(one["event_id"] for one in up.ledger.predictions() if one["model"] == "my-labels")
    options = ("explain", str(event), "--out", str(place / "out"), "--json")
    done = run(*options, home=up.home, DXSTREAM_MODELS=str(place / "models"))
    assert done.returncode == 0, done.stderr
    return {one["label"]: Path(one["file"]) for one in json.loads(done.stdout)}


def test_the_page_s_network_gives_the_same_numbers_as_a_torch_export_and_as_onnx(answers: dict):
    ours, other = (answers[name]["findings"][0]["probability"] for name in ("my-export", "my-onnx"))
    assert ours == pytest.approx(other, abs=1e-5)


def test_no_worker_was_started_anew_for_it(answers: dict):
    assert set(answers["workers"].values()) == {1}


def test_of_several_labels_each_has_its_own_threshold_and_any_number_is_positive(answers: dict):
    found = {
        one["label"]: (round(one["probability"], 3), one["threshold"], bool(one["positive"]))
        for one in answers["my-labels"]["findings"]
    }
    assert found == {"effusion": (0.881, 0.5, True), "nodule": (0.622, 0.6, True), "device": (0.119, 0.5, False)}


def test_what_was_positive_is_explained_and_written_to_files(answers: dict):
    assert set(answers["explained"]) == {"effusion", "nodule"}
    for path in answers["explained"].values():
        shown = cv2.imdecode(np.frombuffer(BytesIO(path.read_bytes()).getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
        assert shown.shape == (64, 64, 4)
