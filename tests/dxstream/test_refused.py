"""``refused list | show``: what an integration engineer sees of refused messages, and how the content comes out."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from db.engine import Database
from db.migrate import upgrade
from db.refusals import MOST_BYTES, Refusal, keep_refusals
from dxstream.cli_refused import refused

MESSAGE = b"MSH|^~\\&|LAB\rPID|1||4711^^^HOSP^MR||DOE^JANE\r"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A ledger with a message that came twice and a resource."""
    database = Database(f"sqlite:///{tmp_path / 'dxstream.sqlite'}")
    upgrade(database)
    long = Refusal(feed="fhir", reason="invalid", place="Observation.status", content=b"{" * (MOST_BYTES + 1))
    message = Refusal(feed="hl7", reason="no unit", place="OBX^1^6", content=MESSAGE)
    for kept in ([message], [long], [message]):
        with database.write() as (connection, now):
            keep_refusals(connection, now, kept)
    database.close()
    return tmp_path


def ask(home: Path, *words: str) -> Result:
    return CliRunner().invoke(refused, [words[0], "--home", str(home), *words[1:]], catch_exceptions=False)


def test_the_list_names_reason_and_place_newest_first_and_shows_no_content(home: Path) -> None:
    rows = json.loads(ask(home, "list", "--json").stdout)
    assert [(row["feed"], row["reason"], row["place"], row["times"]) for row in rows] == [
        ("hl7", "no unit", "OBX^1^6", 2),
        ("fhir", "invalid", "Observation.status", 1),
    ]
    assert "DOE" not in ask(home, "list").stdout


def test_the_list_can_be_of_one_feed(home: Path) -> None:
    assert [row["feed"] for row in json.loads(ask(home, "list", "--json", "--feed", "fhir").stdout)] == ["fhir"]


def test_the_content_comes_out_byte_for_byte_where_it_is_asked_for(home: Path, tmp_path: Path) -> None:
    assert "DOE" not in ask(home, "show", "1").stdout
    ask(home, "show", "1", "--out", str(tmp_path / "out.hl7"))
    assert (tmp_path / "out.hl7").read_bytes() == MESSAGE
    assert ask(home, "show", "1", "--out", "-").stdout_bytes == MESSAGE


def test_of_a_long_content_it_says_how_much_was_kept(home: Path) -> None:
    shown = ask(home, "show", "2", "--json")
    assert json.loads(shown.stdout)["kept"] == MOST_BYTES
    assert f"of {MOST_BYTES + 1} bytes the first {MOST_BYTES} were kept" in shown.stderr


def test_a_number_that_is_none_is_an_error(home: Path) -> None:
    assert ask(home, "show", "9").exit_code == 1
