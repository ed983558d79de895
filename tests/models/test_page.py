"""The report is one file that needs nobody else."""

import re

import pytest

from models.evaluate import evaluate


@pytest.mark.parametrize(("kind", "source", "pictures"), [("lab", "stays", 5), ("note", "notes", 5)])
def test_the_page_holds_its_pictures_and_calls_no_host(kind, source, pictures, request, tmp_path):
    told = evaluate(request.getfixturevalue(f"{kind}_card"), request.getfixturevalue(source), page=tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert text.count("data:image/png;base64,") == pictures
    assert not re.search(r"(?:https?:)?//[a-z]|<script|@import|url\(", re.sub(r"base64,[^\"]+", "", text))
    low, high = told["intervals"]["accuracy"]
    assert f"[{low:.3f}, {high:.3f}]" in text
    assert f"<th>held_back_of_correct</th><td>{told['held_back_of_correct']:.3f} [" in text
    assert "Held back: refused by a gate or marked uncertain" in text


def test_a_page_without_a_scored_input_can_be_written(scan_card, tmp_path):
    (tmp_path / "ILL").mkdir()
    (tmp_path / "ILL" / "broken.jpeg").write_bytes(b"\xff\xd8nothing")
    evaluate(scan_card, tmp_path, page=tmp_path / "r.html")
    assert "<img" not in (tmp_path / "r.html").read_text()
