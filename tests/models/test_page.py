"""The report is one file that needs nobody else."""

import re
import shutil

import numpy as np
import pytest
from model_samples import jpeg

from models.card import Card
from models.evaluate import evaluate
from models.figures import report
from models.page import page
from models.score import Scored


@pytest.mark.parametrize(("kind", "source", "pictures"), [("lab", "stays", 5), ("note", "notes", 5)])
def test_the_page_holds_its_pictures_and_calls_no_host(kind, source, pictures, request, tmp_path):
    told = evaluate(request.getfixturevalue(f"{kind}_card"), request.getfixturevalue(source), page=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert text.count("data:image/png;base64,") == pictures
    assert not re.search(r"(?:https?:)?//[a-z]|<script|@import|url\(", re.sub(r"base64,[^\"]+", "", text))
    low, high = told["intervals"]["accuracy"]
    assert f"[{low:.3f}, {high:.3f}]" in text
    assert "<h2>Marked uncertain, by gate</h2>" in text
    assert f"<th>held_back_of_correct</th><td>{told['held_back_of_correct']:.3f} [" in text
    assert "Held back: refused by a gate or marked uncertain" in text


def test_a_page_without_a_scored_input_can_be_written(scan_card, tmp_path):
    (tmp_path / "ILL").mkdir()
    (tmp_path / "ILL" / "broken.jpeg").write_bytes(b"\xff\xd8nothing")
    evaluate(scan_card, tmp_path, page=tmp_path / "r.html")
    assert "<img" not in (tmp_path / "r.html").read_text()


def test_why_inputs_were_refused_is_told(scan_card, scans, tmp_path):
    folder = shutil.copytree(scans, tmp_path / "scans")
    (folder / "ILL" / "flat.jpeg").write_bytes(jpeg(np.full((96, 96), 90, np.uint8)))
    evaluate(scan_card, folder, page=tmp_path / "r.html")
    assert "1 blank" in (tmp_path / "r.html").read_text()


def test_each_of_several_labels_has_its_confusion_and_all_the_figures_that_any_has(tmp_path):
    card = Card(
        **{**dict.fromkeys(("name", "version", "kind", "architecture", "task"), "x"), "config": {}},
        classes=("a", "<b>"),
        labels=("a", "<b>"),
        multi_label=True,
        folder=tmp_path,
    )
    rows = [(np.array([0, number % 2]), np.array([0.1, number / 20])) for number in range(20)]  # nothing is a
    scored = [Scored(id=str(place), label="", truth=truth, chance=chance) for place, (truth, chance) in enumerate(rows)]
    text = page(card, scored, report(card, scored))
    assert [text.count(f"<figcaption>Confusion: {name}</figcaption>") for name in ("a", "&lt;b&gt;")] == [1, 1]
    assert "<b>" not in text
    assert "<th>ppv_at_0.05</th>" in text
