"""Small models trained on made-up sets, once a session."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from model_samples import note_csv, scan_folder, stay_csv

from models import bootstrap
from models.catalogue import load
from models.train import train


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _few_draws():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "DRAWS", 20)
        yield


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    return scan_folder(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="session")
def stays(tmp_path_factory):
    return stay_csv(tmp_path_factory.mktemp("stays"))


@pytest.fixture(scope="session")
def notes(tmp_path_factory):
    return note_csv(tmp_path_factory.mktemp("notes") / "notes.csv")


@pytest.fixture(scope="session")
def scan_card(scans, tmp_path_factory):
    about = {"config": {"side": 32, "stem": 8, "channels": [8, 16], "blocks": 1}}
    return train("scan", scans, tmp_path_factory.mktemp("card") / "tiny-scan", epochs=8, about=about)


@pytest.fixture(scope="session")
def lab_card(stays, tmp_path_factory):
    return train(
        "lab", stays, tmp_path_factory.mktemp("card") / "tiny-lab", epochs=12, about={"config": {"hidden": 16, "trees": 100}}
    )


@pytest.fixture(scope="session")
def note_card(notes, tmp_path_factory):
    about = {"config": {"most_tokens": 100, "embedding": 24, "hidden": 16, "segment": 32, "bag": 64, "votes": 4.0}}
    return train("note", notes, tmp_path_factory.mktemp("card") / "tiny-note", epochs=8, about=about)


@pytest.fixture(scope="session")
def scan_model(scan_card):
    return load(scan_card)


@pytest.fixture(scope="session")
def lab_model(lab_card):
    return load(lab_card)


@pytest.fixture(scope="session")
def note_model(note_card):
    return load(note_card)
