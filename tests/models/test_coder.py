"""The textbook's autoencoder trains by the same command, tells its error, and gives features."""

import csv
import shutil

import numpy as np
import pytest

from models.catalogue import load
from models.embed import embed
from models.evaluate import evaluate
from models.intended import match
from models.train import train
from stream.errors import Refused, Unmatched


@pytest.fixture(scope="module")
def coder(scans, tmp_path_factory):
    return train("scan", scans, tmp_path_factory.mktemp("card") / "coder", epochs=15, architecture="autoencoder")


def test_it_tells_its_mean_absolute_error_with_an_interval(coder, scans, tmp_path):
    told = evaluate(coder, scans, page=tmp_path / "r.html")
    low, high = told["intervals"]["mean_absolute_error"]
    assert low <= told["mean_absolute_error"] <= high
    assert "mean_absolute_error" in (tmp_path / "r.html").read_text()


def test_it_rebuilds_a_picture_far_better_than_a_plain_grey_does(coder, scans):
    model = load(coder)
    rows = np.stack([model.read(one.open()).arrays["row"] for one in _examples(scans)])
    assert coder.quality["test"]["mean_squared_error"] < 0.1 * float(rows.var(axis=1).mean())


def _examples(scans):
    from models.examples import read_examples

    return read_examples("scan", scans)


@pytest.mark.parametrize(("kind", "source", "config"), [("lab", "stays", {"layers": [64]}), ("note", "notes", {"loss": "binary"})])
def test_windows_and_notes_have_one_too(kind, source, config, request, tmp_path):
    data = request.getfixturevalue(source)
    card = train(kind, data, tmp_path, epochs=2, architecture="autoencoder", about={"config": config})
    load(card).warm_up()
    assert 0 < evaluate(card, data)["mean_absolute_error"] < 1


@pytest.mark.parametrize("name", ["f.npz", "f.csv"])
def test_its_features_are_written_with_the_ids(name, coder, scans, tmp_path):
    told = embed(coder, scans, tmp_path / name)
    assert (told["n"], told["features"]) == (120, 32)
    if name.endswith(".npz"):
        with np.load(tmp_path / name) as file:
            assert file["features"].shape == (120, 32)
            assert file["id"][0].startswith("ILL/")
    else:
        with (tmp_path / name).open() as file:
            assert len(list(csv.DictReader(file))) == 120


def test_any_other_cards_autoencoder_gives_features_too(lab_card, stays, tmp_path):
    assert embed(lab_card, stays, tmp_path / "f.npz")["features"] == 24


def test_no_event_is_given_to_a_card_that_makes_no_finding(coder):
    with pytest.raises(Unmatched, match="no active model takes a scan"):
        match([coder], "scan", {})


def test_a_network_without_findings_cannot_be_decoded(coder, scans, tmp_path):
    from models.embed import decode

    with pytest.raises(Refused, match="writes nothing"):
        decode(coder, scans, tmp_path / "t.csv")


def test_features_need_no_labels(coder, scans, tmp_path):
    (tmp_path / "scans").mkdir()
    for file in sorted((scans / "ILL").iterdir())[:3]:
        shutil.copy(file, tmp_path / "scans")
    assert embed(coder, tmp_path / "scans", tmp_path / "f.csv")["n"] == 3
    with (tmp_path / "f.csv").open() as file:
        assert {row["label"] for row in csv.DictReader(file)} == {""}


def test_features_in_a_file_of_another_kind_are_refused_instead_of_written_under_another_name(coder, scans, tmp_path):
    with pytest.raises(Refused, match=r"\.npz or \.csv"):
        embed(coder, scans, tmp_path / "f.txt")
    assert not list(tmp_path.iterdir())


def test_it_learns_from_pictures_without_labels(scans, tmp_path):
    (tmp_path / "pictures").mkdir()
    for file in sorted((scans / "NORMAL").iterdir()):
        shutil.copy(file, tmp_path / "pictures")
    card = train("scan", tmp_path / "pictures", tmp_path / "card", epochs=1, architecture="autoencoder")
    assert evaluate(card, tmp_path / "pictures")["n"] == 60
