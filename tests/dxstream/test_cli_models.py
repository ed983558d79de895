"""``models``: which card a name stands for on the command line."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dxstream.cli_models import CardType, models
from models.catalogue import find_card
from models.golden import NOTE

CARD = {"name": "own", "version": "1", "kind": "scan", "architecture": "x", "task": "", "config": {}, "labels": ["sick"]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "card.json").write_text(json.dumps(CARD))
    (tmp_path / "site.toml").write_text("[own]\nthreshold = { sick = 0.9 }\n")
    monkeypatch.setenv("DXSTREAM_MODELS", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_card_of_the_users_own_is_found_by_its_name_and_measured_at_its_own_threshold() -> None:
    card = CardType().convert("own", None, None)
    assert card.name == "own"
    assert not card.site.said


def test_a_card_is_found_by_its_folder(folder: Path) -> None:
    assert CardType().convert(str(folder / "own"), None, None).name == "own"


def test_a_site_toml_that_cannot_be_read_is_a_usage_error(folder: Path) -> None:
    (folder / "site.toml").write_text("[own\n")
    with pytest.raises(click.BadParameter, match=r"site\.toml"):
        CardType().convert("own", None, None)


def test_a_setting_that_cannot_be_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DXSTREAM_HTTP_PORT", "none")
    with pytest.raises(click.BadParameter, match="DXSTREAM_HTTP_PORT"):
        CardType().convert("own", None, None)


@pytest.mark.usefixtures("folder")
def test_a_name_that_no_card_has_is_a_usage_error() -> None:
    with pytest.raises(click.BadParameter, match="no card named other"):
        CardType().convert("other", None, None)


def test_a_lab_card_whose_window_is_counted_from_another_moment_is_not_activated(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "dxstream.sqlite").touch()
    window = {"origin": "admission", "length_hours": 24, "speaks_at_hours": 24, "grace_minutes": 30}
    (folder / "own" / "card.json").write_text(json.dumps({**CARD, "kind": "lab", "window": window}))
    done = CliRunner().invoke(models, ["activate", "own", "--home", str(tmp_path)])
    assert "own counts its window from admission; stays are counted from icu_admission" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"), [("--passes", "0"), ("--false-alarms", "0"), ("--false-alarms", "1"), ("--part", "train")]
)
def test_a_gate_that_cannot_be_tried_is_wrong_usage(option: str, value: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(models, ["doubt", "scan-chest-pneumonia", "--data", str(tmp_path), option, value])
    assert (done.exit_code, option in done.stderr) == (2, True)


def test_people_are_told_what_each_gate_would_mark(tmp_path: Path) -> None:
    label = find_card("note-specialty").labels[0]
    (tmp_path / "notes.csv").write_text(f'id,label,text\n1,{label},"{NOTE}"\n')
    done = CliRunner().invoke(models, ["evaluate", "note-specialty", "--data", str(tmp_path)])
    assert done.exit_code == 0
    assert "marked by reconstruction error" in done.stdout
    assert "marked by abstention limit" in done.stdout
    assert "of all" in done.stdout
