"""The page of the reference cards' figures is what the files beside the cards say."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_the_one_that_the_cards_give():
    written = runpy.run_path(str(ROOT / "docs" / "quality.py"))
    assert (ROOT / "docs" / "models.md").read_text() == written["page"](), "python docs/quality.py --write"
