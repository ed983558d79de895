"""The gate by predictive uncertainty is tried on a card as it is, and written only where that is asked for."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from models.calibrate import Wish, uncertainty_gate
from models.card import UNCERTAINTY, BadCard, read_card
from models.catalogue import SHIPPED
from models.doubt import doubt
from models.evaluate import evaluate
from models.train import train
from stream.errors import Refused

WISH = Wish(passes=8, false_alarms=0.2)
ABOUT = {"uncertainty": {"passes": 8, "false_alarms": 0.2}}
SMALL = {"config": {"side": 32, "stem": 8, "channels": [8, 16], "blocks": 1}}


@pytest.fixture
def own(scan_card, tmp_path):
    return read_card(shutil.copytree(scan_card.folder, tmp_path / "own"))


def test_the_limit_leaves_the_declared_share_of_right_answers_above_it():
    gate = uncertainty_gate(WISH, np.linspace(0.0, 1.0, 1001))
    assert gate == {"passes": 8, "limit": pytest.approx(0.8), "false_alarms": 0.2}


def test_it_is_the_gate_that_training_makes_of_the_same_weights(scans, tmp_path):
    card = train("scan", scans, tmp_path / "tiny-scan", epochs=4, about={**SMALL, **ABOUT})
    plain = replace(card, gates={name: value for name, value in card.gates.items() if name != UNCERTAINTY})
    assert doubt(plain, scans, "validation", WISH)["gate"] == pytest.approx(card.gates[UNCERTAINTY])


@pytest.mark.parametrize(("kind", "source"), [("scan", "scans"), ("lab", "stays"), ("note", "notes")])
def test_what_is_held_back_with_the_gate_is_told_beside_what_is_without(kind, source, request):
    card = request.getfixturevalue(f"{kind}_card")
    told = doubt(card, request.getfixturevalue(source), "validation", WISH)
    assert (told["limit_from"], set(told["held"])) == ("validation", {"validation", "test"})
    for part in told["held"].values():
        assert part["held_back"] >= part["without"]["held_back"]
        assert set(part["marked_by"]) - set(part["without"]["marked_by"]) == {"predictive uncertainty"}
        low, high = part["intervals"]["held_back_of_correct"]
        assert low <= part["held_back_of_correct"] <= high


def test_it_is_written_into_a_card_of_ones_own_only_where_that_is_asked_for(own, scans):
    doubt(own, scans, "validation", WISH)
    assert read_card(own.folder).digest == own.digest
    told = doubt(own, scans, "validation", WISH, write=True)
    again = read_card(own.folder)
    assert again.gates[UNCERTAINTY] == pytest.approx(told["gate"])
    assert again.files == own.files
    figures = evaluate(again, scans, part="validation")
    assert figures["held_back"] == pytest.approx(told["held"]["validation"]["held_back"])
    assert "predictive uncertainty" not in evaluate(own, scans, part="validation")["marked_by"]


def test_a_shipped_card_is_not_written(scans):
    with pytest.raises(BadCard, match="copy its folder"):
        doubt(read_card(SHIPPED / "scan-chest-pneumonia"), scans, "validation", WISH, write=True)


def test_a_part_that_the_network_was_trained_on_sets_no_limit(own, scans):
    refitted = replace(own, training={**own.training, "refit_on": 100})
    for card, part in ((refitted, "validation"), (own, "train"), (own, "all")):
        with pytest.raises(Refused, match=f"trained on its {part} part"):
            doubt(card, scans, part, WISH)
    assert doubt(refitted, scans, "test", WISH)["limit_from"] == "test"
