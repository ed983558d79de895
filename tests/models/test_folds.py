"""Cross-validation tests every group once and tells mean and spread."""

import json
import shutil

import pytest

from models.calibrate import CHOICES
from models.card import read_card
from models.example import Example
from models.folds import cross_validate
from models.split import Split
from models.train import train
from stream.errors import Refused


def test_each_group_is_tested_once_and_validates_once():
    groups = [Example(id=str(n), label="a", group=str(n), open=list) for n in range(200)]
    splits = [Split(folds=4, fold=fold).parts(groups) for fold in range(4)]
    for part in ("test", "validation"):
        assert sorted(one.id for parts in splits for one in parts[part]) == sorted(one.id for one in groups)
    assert all(not {one.id for one in parts["test"]} & {one.id for one in parts["train"]} for parts in splits)


@pytest.fixture(scope="module")
def folds(stays, tmp_path_factory):
    """Folder, what was told, and the options it was told with."""
    out, options = tmp_path_factory.mktemp("folds"), {"about": {"config": {"hidden": 4, "trees": 5}}, "epochs": 1}
    (out / "about.json").write_text('{"name": "written"}')
    return out, cross_validate("lab", stays, out, 3, **options), options


def test_mean_and_spread_are_those_of_the_folds(folds):
    out, told, _ = folds
    assert sum(card["n"] for card in told["cards"]) == 240
    assert 0 <= told["spread"]["auroc"] < 1
    assert read_card(out / "fold-2").name == "written"
    assert json.loads((out / "folds.json").read_text()) == told


def test_two_folds_leave_nothing_to_validate_on(stays, tmp_path):
    with pytest.raises(Refused, match="at least 3"):
        cross_validate("lab", stays, tmp_path, 2)


def test_folds_that_are_done_are_not_trained_again(folds, stays):
    out, first, options = folds
    (out / "fold-2" / "card.json").unlink()
    heard = []
    again = cross_validate("lab", stays, out, 3, **options, tell=lambda what, *_: heard.append(what))
    assert heard.count("network") == 1
    assert again["mean"] == first["mean"]


def test_a_card_of_another_seed_is_not_taken_for_this_training(folds, stays):
    out, _, options = folds
    about = {"name": "written", **options["about"], "split": {"folds": 3, "fold": 0}}
    heard = []
    train("lab", stays, out / "fold-1", about=about, epochs=1, seed=1, reuse=True, tell=lambda what, *_: heard.append(what))
    assert heard.count("network") == 1


def test_a_card_that_judges_by_another_point_is_not_taken_for_this_training(folds, stays, tmp_path):
    out, _, options = folds
    shutil.copytree(out / "fold-2", tmp_path / "fold-2")
    about = {"name": "written", **options["about"], "split": {"folds": 3, "fold": 1}, "operating_point": "balanced"}
    card = train("lab", stays, tmp_path / "fold-2", about=about, epochs=1, reuse=True)
    assert card.operating_point == CHOICES["balanced"]


@pytest.mark.parametrize(("file", "old", "new"), [("results.csv", ",4.0", ",4.5"), ("outcomes.csv", ",40,", ",41,")])
def test_other_files_under_the_same_names_are_another_training(folds, stays, tmp_path, file, old, new):
    _, _, options = folds
    shutil.copytree(stays, tmp_path / "stays")
    heard = []
    for time in ("first", "again", "changed"):
        if time == "changed":
            path = tmp_path / "stays" / file
            path.write_text(path.read_text().replace(old, new, 1))
        tell = lambda what, *_, time=time: heard.append((time, what))  # noqa: E731
        train("lab", tmp_path / "stays", tmp_path / "out", **options, reuse=True, tell=tell)
    assert [time for time, what in heard if what == "network"] == ["first", "changed"]
