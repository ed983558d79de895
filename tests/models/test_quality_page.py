"""The page of the reference cards' figures is what the files beside the cards say."""

import json
import runpy
from pathlib import Path

import pytest

from models.catalogue import find_card

ROOT = Path(__file__).parents[2]


def test_the_page_is_the_one_that_the_cards_give():
    written = runpy.run_path(str(ROOT / "docs" / "quality.py"))
    assert (ROOT / "docs" / "models.md").read_text() == written["page"](), "python docs/quality.py --write"


@pytest.mark.parametrize("name", ["scan-chest-pneumonia", "lab-icu-mortality", "note-specialty"])
def test_the_report_beside_a_reference_card_is_of_this_card_on_its_own_test_part(name):
    card = find_card(name)
    told = json.loads((card.folder / "test.json").read_text())
    assert (told["model_digest"], told["part"], told["n"]) == (card.digest, "test", card.training["n"]["test"])
    assert told["auroc"] == pytest.approx(card.quality["test"]["auroc"])
