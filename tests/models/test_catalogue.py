"""Which cards there are."""

from dataclasses import replace

import pytest

from models.card import BadCard
from models.catalogue import card_faults, find_card, list_cards, load

SHIPPED = ["lab-icu-mortality", "note-specialty", "scan-chest-pneumonia"]


def test_the_reference_cards_are_shipped():
    assert [card.name for card in list_cards()] == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_card_is_ready_and_says_what_it_must(name):
    model = load(name)
    model.warm_up()
    card = model.card
    assert card.quality["test"]["n"] >= 100
    assert card.quality["test"]["auroc"] > 0.8
    assert card.quality["validation"]["coverage"] >= 0.95
    assert card.sources[0]["licence"]
    assert card.sources[0]["citation"]
    assert card.intended_use


def test_shipped_weights_are_small():
    assert sum(path.stat().st_size for card in list_cards() for path in card.folder.iterdir()) < 20e6


def test_a_users_cards_stand_beside_the_shipped_ones(scan_card):
    assert [card.name for card in list_cards(scan_card.folder.parent)] == sorted([*SHIPPED, "tiny-scan"])
    assert list_cards(scan_card.folder) == list_cards(scan_card.folder.parent)


def test_a_card_is_found_by_name_or_folder(scan_card):
    assert find_card(scan_card.folder) == scan_card
    assert find_card("tiny-scan", scan_card.folder.parent) == scan_card
    with pytest.raises(BadCard, match="no card named"):
        find_card("tiny-scan")


def test_an_architecture_that_we_do_not_have_is_refused(scan_card):
    with pytest.raises(BadCard, match="unknown architecture"):
        load(replace(scan_card, architecture="oracle"))


def test_a_folder_that_holds_no_readable_card_is_passed_over_and_named(scan_card, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "card.json").write_text("{")
    (tmp_path / "own").symlink_to(scan_card.folder)
    assert [card.name for card in list_cards(tmp_path)] == sorted([*SHIPPED, "tiny-scan"])
    (fault,) = card_faults(tmp_path)
    assert str(tmp_path / "broken") in fault
