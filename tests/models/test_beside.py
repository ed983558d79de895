"""The report of a card shows the textbook's networks, trained on the card's own split, beside it."""

import json
import shutil
from dataclasses import replace

import pytest

from models.beside import BESIDE_FILE, beside, read_beside
from models.calibrate import CHOICES
from models.card import read_card
from models.evaluate import evaluate


@pytest.fixture
def card(lab_card, tmp_path):
    return read_card(shutil.copytree(lab_card.folder, tmp_path / "card"))


def test_each_network_is_measured_on_the_cards_own_parts(card, stays):
    told = beside(card, stays, networks=["rnn", "autoencoder"], epochs=1)
    assert {one["test"]["n"] for one in told["networks"].values()} == {card.training["n"]["test"]}
    assert "mean_absolute_error" in told["networks"]["autoencoder"]["test"]
    assert read_beside(card) == json.loads((card.folder / BESIDE_FILE).read_text())


@pytest.mark.parametrize("point", sorted(CHOICES))
def test_each_network_judges_by_the_point_and_at_the_prevalence_that_the_card_judges_by(card, stays, point):
    asked = replace(card, operating_point=CHOICES[point], calibrated_for={"failure": 0.3})
    told = beside(asked, stays, networks=["rnn"], epochs=1)["networks"]["rnn"]
    assert (told["operating_point"], told["calibrated_for"]) == (CHOICES[point], {"failure": 0.3})


def test_the_report_shows_them_beside_ours(card, stays, tmp_path):
    beside(card, stays, networks=["rnn"], epochs=1)
    evaluate(card, stays, part="test", page=tmp_path / "r.html")
    table = (tmp_path / "r.html").read_text().partition("Networks of the textbook on the same split, test part")[2]
    assert "<th>rnn</th>" in table
    assert f"<th>{card.name} (ours)</th>" in table


def test_figures_of_another_split_are_not_shown(card, stays):
    beside(card, stays, networks=["rnn"], epochs=1)
    path = card.folder / BESIDE_FILE
    path.write_text(path.read_text().replace('"salt": "dxstream"', '"salt": "other"'))
    assert read_beside(card) is None


@pytest.mark.parametrize("name", ["scan-chest-pneumonia", "lab-icu-mortality", "note-specialty"])
def test_a_reference_card_has_every_network_of_its_kind_beside_it(name):
    from models.catalogue import find_card
    from models.recipe import TEXTBOOK

    card = find_card(name)
    told = read_beside(card)
    assert told is not None
    assert set(told["networks"]) == set(TEXTBOOK[card.kind])
    assert {one.get("operating_point") or card.operating_point for one in told["networks"].values()} == {card.operating_point}
