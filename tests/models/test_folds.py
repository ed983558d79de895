"""Cross-validation tests every group once and tells mean and spread."""

import json

import pytest

from models.example import Example
from models.folds import cross_validate
from models.split import Split
from stream.errors import Refused


def test_each_group_is_tested_once_and_validates_once():
    groups = [Example(id=str(n), label="a", group=str(n), open=list) for n in range(200)]
    splits = [Split(folds=4, fold=fold).parts(groups) for fold in range(4)]
    for part in ("test", "validation"):
        assert sorted(one.id for parts in splits for one in parts[part]) == sorted(one.id for one in groups)
    assert all(not {one.id for one in parts["test"]} & {one.id for one in parts["train"]} for parts in splits)


def test_mean_and_spread_are_those_of_the_folds(stays, tmp_path):
    about = {"config": {"hidden": 4, "trees": 5}}
    told = cross_validate("lab", stays, tmp_path, 3, about=about, epochs=1)
    assert sum(card["n"] for card in told["cards"]) == 240
    assert 0 <= told["spread"]["auroc"] < 1
    assert json.loads((tmp_path / "folds.json").read_text()) == told


def test_two_folds_leave_nothing_to_validate_on(stays, tmp_path):
    with pytest.raises(Refused, match="at least 3"):
        cross_validate("lab", stays, tmp_path, 2)
