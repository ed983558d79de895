"""Bad input is one line that names the place, never a traceback."""

import json
from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner, Result

from dxstream.cli_backlog import backlog
from dxstream.cli_explain import explain_event
from dxstream.cli_models import models

NOTES = "id,label,text\n" + "".join(f"{number},{'yes' if number % 2 else 'no'},word{number} and more\n" for number in range(80))
OUTCOMES = "patient,label\n" + "".join(f"p{number},{'yes' if number % 2 else 'no'}\n" for number in range(80))
WINDOW = {"origin": "admission", "length_hours": 24, "speaks_at_hours": 24, "grace_minutes": 0}
HEAD = "patient,time,code,value,unit\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(models, [str(one) for one in arguments])


def refused(done: Result, *words: str) -> None:
    """One line on standard error (a usage error has its usage above), and nothing unexpected was raised."""
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (1, 2)
    for word in words:
        assert word in done.stderr


def train(data: Path, out: Path, about: object = None, kind: str = "note", *options: str) -> Result:
    out.mkdir(exist_ok=True)
    if about is not None:
        (out / "about.json").write_text(about if isinstance(about, str) else json.dumps(about))
    return run("train", kind, "--data", data, "--out", out, *options)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id,label,text\n1,a\n", ("line 2", "the row breaks off before column text")),
        ("id,label,text\n1,a,Fièvre\n".encode("latin-1"), ("line 2", "not UTF-8")),
        (b"\x89PNG\r\n\x1a\n\xff\x00", ("not UTF-8",)),
        (b"", ("no column id, text",)),
    ],
)
def test_a_csv_that_cannot_be_read_is_told_with_its_line(tmp_path: Path, content: bytes, words: tuple[str, ...]) -> None:
    data = tmp_path / "n.csv"
    data.write_bytes(content)
    done = train(data, tmp_path / "out")
    refused(done, f"dxstream: {data}", *words)
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.csv", f"{HEAD}p0,2026-03-01T10:00,2160-0,1,mg/dL\n", "r.csv, line 2: time is neither HH:MM nor minutes"),
        ("labs.csv", "analyte,name\nX,Y\n", "labs.csv: no column loinc_mass"),
    ],
)
def test_a_laboratory_file_that_does_not_fit_is_told_with_its_place(tmp_path: Path, name: str, text: str, words: str) -> None:
    for file, content in {"outcomes.csv": OUTCOMES, "r.csv": HEAD, name: text}.items():
        (tmp_path / file).write_text(content)
    refused(train(tmp_path, tmp_path / "out", kind="lab"), words)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"config": {"hiden": 8}}, "about.json: config: nothing is called hiden here: most_tokens"),
        ({"config": {"hidden": "eight"}}, "about.json: config: hidden is not a whole number"),
        ({"config": {"hidden": 0}}, "about.json: config: hidden is below 1"),
        (
            {"config": {"dropout": 3}},
            "about.json: config: no network can be made of it: dropout probability has to be between 0 and 1",
        ),
        ({"positve": "yes"}, "about.json: nobody reads positve: name"),
        ({"notes": "one"}, "about.json: notes is not a list"),
        ({"split": {"tset": 0.2}}, "about.json: split: nothing is called tset here: validation"),
        ({"window": {"origin": "admission"}}, "about.json: window: length_hours, speaks_at_hours, grace_minutes is missing"),
        ({"use_prevalence": 2}, "about.json: use_prevalence is not between 0 and 1"),
        ({"operating_point": "best"}, "about.json: no operating point is called best: sensitive, balanced"),
        ({"split": {"test": 0.9}}, "split: validation and test are shares above 0"),
        ({"split": {"folds": 5, "fold": 5}}, "split: there are 3 folds or more, and fold is a number from 0"),
        ({"notes": [1]}, "about.json: notes is not a list of texts"),
        ({"intended_use": {"age_year": {}}}, "about.json: intended_use: no feed knows a fact called age_year: age_years"),
        ({"intended_use": {"sex": {"is": "male"}}}, "about.json: intended_use: sex: nobody reads is: one_of"),
        ({"intended_use": {"sex": {"one_of": "male"}}}, "about.json: intended_use: sex: one_of is not a list"),
        ({"window": {**WINDOW, "length_hours": 0}}, "about.json: window: length_hours is above 0"),
        ({"window": WINDOW}, "about.json: a note model has no window of results"),
        ("{'name': 1}", "about.json: no JSON: "),
        ("[]", "about.json: not a JSON object"),
    ],
)
def test_what_nobody_reads_in_about_json_is_told(tmp_path: Path, about: object, words: str) -> None:
    (tmp_path / "n.csv").write_text(NOTES)
    refused(train(tmp_path / "n.csv", tmp_path / "out", about), words)


@pytest.mark.parametrize(
    "options", [("--epochs", "0"), ("--epochs", "-1"), ("--seed", "-1"), ("--device", "cuda:99"), ("--device", "meta")]
)
def test_an_option_that_cannot_be_is_a_usage_error(tmp_path: Path, options: tuple[str, str]) -> None:
    (tmp_path / "n.csv").write_text(NOTES)
    refused(train(tmp_path / "n.csv", tmp_path / "out", None, "note", *options), f"Invalid value for '{options[0]}'")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(NOTES)
    (tmp_path / "file").write_text("")
    refused(run("train", "note", "--data", tmp_path / "n.csv", "--out", tmp_path / "file" / "out"), "Not a directory")


@pytest.mark.parametrize("option", [("evaluate", "--scores"), ("evaluate", "--report"), ("embed", "--out"), ("decode", "--out")])
def test_a_file_that_could_not_be_written_is_told_of_before_the_work(option: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text(NOTES)
    command, out = option
    for place, words in ((tmp_path / "none" / "out.csv", "there is no folder"), (tmp_path, "is a folder")):
        refused(run(command, "note-specialty", "--data", tmp_path / "notes.csv", out, place), words)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (models, ["activate", "note-specialty"]),
        (models, ["deactivate", "note-specialty"]),
        (explain_event, ["1"]),
        (backlog, ["list"]),
    ],
)
def test_where_nothing_has_run_yet_a_command_says_so_and_leaves_nothing_behind(
    command: Command, arguments: list[str], tmp_path: Path
) -> None:
    done = CliRunner().invoke(command, [*arguments, "--home", str(tmp_path / "home")])
    refused(done, f"no ledger in {tmp_path / 'home'}: dxstream up makes one")
    assert not list(tmp_path.glob("home/*"))
