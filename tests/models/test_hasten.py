"""Ways to run a card are measured over labelled inputs, and bfloat16 goes into the card only where nothing is lost."""

import shutil
from dataclasses import replace

import pytest

from models import hasten as module
from models.card import BadCard, read_card
from models.catalogue import SHIPPED, load
from models.hasten import hasten
from stream.errors import Refused


@pytest.fixture
def own(scan_card, tmp_path):
    return read_card(shutil.copytree(scan_card.folder, tmp_path / "own"))


@pytest.mark.parametrize(("kind", "source"), [("scan", "scans"), ("note", "notes")])
def test_every_way_is_told_beside_plain_torch(kind, source, request):
    told = hasten(request.getfixturevalue(f"{kind}_card"), request.getfixturevalue(source))
    assert told["torch"]["auroc"] > 0.9
    assert all(set(one) == {"auroc", "seconds_alone", "seconds_batched"} for one in told.values())


@pytest.mark.parametrize(("lost", "written"), [(0.0, True), (0.002, False)])
def test_bfloat16_is_written_with_its_check_where_no_auroc_is_lost(own, scans, monkeypatch, lost, written):
    way = {"seconds_alone": 1.0, "seconds_batched": 1.0}
    figures = {"torch": {"auroc": 0.98, **way}, "torch in bfloat16": {"auroc": 0.98 - lost, **way}}
    monkeypatch.setattr(module, "_ways", lambda *_: dict.fromkeys(figures))
    monkeypatch.setattr(module, "_measured", lambda *_: figures[next(names)])
    names = iter(figures)
    hasten(own, scans, "all", write=True)
    again = read_card(own.folder)
    assert (again.digest != own.digest, again.speed.get("bfloat16", False)) == (written, written)
    assert again.speed.get("check", {}).get("n") == (120 if written else None)
    load(again).warm_up()


def test_a_shipped_card_is_not_written(scans):
    with pytest.raises(BadCard, match="copy its folder"):
        hasten(read_card(SHIPPED / "scan-chest-pneumonia"), scans, write=True)


def test_a_card_without_findings_has_nothing_to_compare(own, scans):
    with pytest.raises(BadCard, match="makes no finding"):
        hasten(replace(own, labels=()), scans)


def test_inputs_of_which_none_can_be_read_are_refused(own, tmp_path):
    (tmp_path / "broken" / "ILL").mkdir(parents=True)
    (tmp_path / "broken" / "ILL" / "a.jpeg").write_bytes(b"nothing")
    with pytest.raises(Refused, match="none of the inputs can be read"):
        hasten(own, tmp_path / "broken", "all")


def test_inputs_of_one_class_say_nothing(own, scans, tmp_path):
    shutil.copytree(scans / "ILL", tmp_path / "one" / "ILL")
    with pytest.raises(BadCard, match="one class only"):
        hasten(own, tmp_path / "one", "all")
