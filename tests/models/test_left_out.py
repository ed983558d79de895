"""What a labelled set loses on the way to the model is counted by reason."""

import shutil

import pytest

from models.commands import train_command
from models.evaluate import evaluate
from models.left_out import left_out
from stream.judgement import Sample


def sample(*refused):
    return Sample(contents=(), facts={"refused_points": [{"code": code, "reason": reason} for code, reason in refused]})


def test_reasons_are_counted_with_the_codes_that_most_of_them_have():
    many = [(f"{number}-0", "no analyte has this code") for number in range(9)]
    told = left_out([sample(("2160-0", "no unit"), *many), Sample(contents=()), sample(("4-0", "no analyte has this code"))])
    assert list(told) == ["no analyte has this code", "no unit"]
    assert told["no unit"] == {"n": 1, "codes": ["2160-0"]}
    assert (told["no analyte has this code"]["n"], told["no analyte has this code"]["codes"][0]) == (10, "4-0")
    assert len(told["no analyte has this code"]["codes"]) == 5


@pytest.fixture(scope="module")
def odd(stays, tmp_path_factory):
    """Creatinine in a unit that nobody knows, and one value that is none."""
    source = shutil.copytree(stays, tmp_path_factory.mktemp("odd") / "stays")
    text = (source / "results.csv").read_text().replace("umol/L", "drams")
    (source / "results.csv").write_text(text + "p0,5,2823-3,hemolysed,mmol/L\n")
    return source


def test_training_and_measuring_tell_what_was_left_out(odd, tmp_path):
    told = train_command("lab", odd, tmp_path / "out", epochs=1, progress=False, about={"config": {"hidden": 8, "trees": 2}})
    expected = {"unknown unit": {"n": 1920, "codes": ["14682-9"]}, "not a number": {"n": 1, "codes": ["2823-3"]}}
    assert told["results_left_out"] == expected
    assert evaluate(tmp_path / "out", odd)["results_left_out"] == expected


def test_what_is_never_converted_loses_nothing(scan_card):
    assert "results_left_out" not in scan_card.training
