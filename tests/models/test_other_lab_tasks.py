"""A lab task of other analytes, units, window and labels trains from files alone."""

import json

import pytest
from model_samples import thyroid_csv

from models.catalogue import load
from models.evaluate import evaluate
from models.train import train
from stream.errors import Refused
from stream.labs import Analytes

ABOUT = {
    "config": {"hours": 72, "hidden": 16},
    "window": {"origin": "first_observation", "length_hours": 72, "speaks_at_hours": 72, "grace_minutes": 30},
}


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return thyroid_csv(tmp_path_factory.mktemp("thyroid"))


@pytest.fixture(scope="module")
def card(task, tmp_path_factory):
    out = tmp_path_factory.mktemp("card")
    (out / "about.json").write_text(json.dumps(ABOUT))
    return train("lab", task, out, epochs=12)


def test_none_of_its_analytes_is_one_of_ours(card):
    shipped = Analytes.read().by_code
    assert [one.name for one in card.analytes] == ["FT4", "TSH"]
    assert not {code for one in card.analytes for code in one.codes} & set(shipped)


def test_it_learns_three_labels(card):
    assert card.labels == ("euthyroid", "hyperthyroid", "hypothyroid")
    assert card.quality["test"]["f1_macro"] > 0.9


def test_its_window_and_units_are_its_own(card):
    assert (card.window.origin, card.config["hours"]) == ("first_observation", 72)
    assert card.analytes[0].unit == "ng/dL"
    assert 0.4 < 2.718 ** card.analytes[0].mean < 2.5  # 6 to 45 pmol/L are 0.5 to 3.5 ng/dL, taken by their logarithm


def test_the_laboratory_alone_has_all_that_its_own_table_gives_a_specimen(card):
    assert card.quality["test_laboratory_only"]["f1_macro"] == card.quality["test"]["f1_macro"]


def test_it_is_measured_and_ready_like_any_other(card, task):
    load(card).warm_up()
    assert evaluate(card, task, part="test")["n"] == card.training["n"]["test"]


def test_other_outcomes_of_the_same_results_make_another_card(task, tmp_path):
    lines = (task / "outcomes.csv").read_text().splitlines()[1:]
    source = tmp_path / "again"
    source.mkdir()
    for name in ("labs.csv", "results.csv"):
        (source / name).write_bytes((task / name).read_bytes())
    rows = [f"{line.split(',')[0]},{'none' if 'euthyroid' in line else 'thyroid disease'}" for line in lines]
    (source / "outcomes.csv").write_text("\n".join(["patient,label", *rows]) + "\n")
    card = train("lab", source, tmp_path / "out", epochs=4, about={**ABOUT, "config": {**ABOUT["config"], "trees": 10}})
    assert card.labels == ("thyroid disease",)
    assert card.quality["test"]["auroc"] > 0.95


def test_units_that_nobody_knows_are_told_of(task, tmp_path):
    source = tmp_path / "odd"
    source.mkdir()
    for file in task.iterdir():
        (source / file.name).write_text(file.read_text().replace("pmol/L", "drams").replace("m[IU]/L", "grains"))
    with pytest.raises(Refused, match=r"no analyte of labs\.csv .* refused: unknown unit"):
        train("lab", source, tmp_path / "out", epochs=1)
