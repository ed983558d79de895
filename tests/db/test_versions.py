"""Which result a version is of, whose it is, and which version holds."""

from pathlib import Path
from typing import Any

import pytest
from stay_samples import HOUR, ORIGIN, judge, judged_values, merged, moved, quiet, rows, sent, statuses, take

from db.engine import Database
from db.tables import case_inputs, inputs, points
from stream.arrival import AddResults, Result
from stream.content import ContentStore

PANEL = "panel"


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def potassium(value: float | None, hours: float = 3, *, version: float | None = None, base: str = "f1", **more: Any) -> Result:
    """Observed so many hours after ORIGIN; ``version``: likewise, the same unless told otherwise."""
    at, version_at = ORIGIN + hours * HOUR, ORIGIN + (hours if version is None else version) * HOUR
    return Result(base=base, code="2823-3", value=value, flags=0, observed_at=at, available_at=at, version_at=version_at, **more)


def lay(database: Database, name: str, *found: Result, patient: str = "p", whole: bool = False) -> str:
    """The input's disposition."""
    (receipt,) = take(database, sent(name, AddResults(results=found, whole=whole), patient=patient))
    return receipt.disposition


def standing(database: Database) -> list[tuple[str, float, float]]:
    """Patient, hours after ORIGIN and value of every result that holds."""
    held = [row for row in rows(database, points) if row["value"] is not None]
    return sorted((row["patient_key"], (row["observed_at"] - ORIGIN) / HOUR, row["value"]) for row in held)


def judged_stay(database: Database, store: ContentStore, *found: Result) -> None:
    take(database, sent("a01", moved("admit", 0)))
    lay(database, "m1", *found)
    quiet(database, store)
    judge(database)


def judged_again(database: Database, store: ContentStore) -> list[float]:
    quiet(database, store)
    (event,) = judge(database)
    return judged_values(database, store.folder, event)


# Whose


def test_a_result_filed_under_the_wrong_patient_is_taken_from_that_one(database: Database, store: ContentStore):
    judged_stay(database, store, potassium(9.9), potassium(4.0, base="f2"))
    assert lay(database, "m2", potassium(9.9, version=4), patient="q") == "timeline"
    assert standing(database) == [("p", 3.0, 4.0), ("q", 3.0, 9.9)]
    assert statuses(database) == ["retracted"]
    assert judged_again(database, store) == [4.0]


def test_an_input_that_moves_a_result_belongs_to_the_right_patients_stay_alone(database: Database, store: ContentStore):
    judged_stay(database, store, potassium(9.9))
    lay(database, "m2", potassium(9.9, version=4), patient="q")
    moving = rows(database, inputs)[-1]["id"]
    assert moving not in {row["input_id"] for row in rows(database, case_inputs)}


def test_a_number_used_again_for_another_patient_is_another_result(sqlite: Database):
    lay(sqlite, "m1", potassium(4.0))
    lay(sqlite, "m2", potassium(5.0, 27), patient="q")
    assert standing(sqlite) == [("p", 3.0, 4.0), ("q", 27.0, 5.0)]
    lay(sqlite, "m3", potassium(5.5, 27, version=28), patient="q")
    assert standing(sqlite) == [("p", 3.0, 4.0), ("q", 27.0, 5.5)]


def test_a_removal_without_a_patient_retracts_what_was_said_of_the_one_it_belongs_to(sqlite: Database, store: ContentStore):
    judged_stay(sqlite, store, potassium(9.9, identity="f1"), potassium(4.0, base="f2"))
    assert lay(sqlite, "m2", potassium(None, version=4, identity="f1"), patient="") == "collecting"
    assert {row["patient_key"] for row in rows(sqlite, points)} == {"p"}
    assert statuses(sqlite) == ["retracted"]
    assert judged_again(sqlite, store) == [4.0]


def test_a_correction_under_the_other_number_of_a_merged_patient_retracts_nothing(sqlite: Database, store: ContentStore):
    judged_stay(sqlite, store, potassium(9.9))
    take(sqlite, merged("a40", other="p", into="q"))
    quiet(sqlite, store)
    judge(sqlite)
    lay(sqlite, "m2", potassium(4.5, version=4), patient="q")
    assert "retracted" not in statuses(sqlite)
    assert judged_again(sqlite, store) == [4.5]


# Which version


def test_the_same_value_again_makes_the_version_newer(sqlite: Database):
    lay(sqlite, "m1", potassium(5.0, version=1))
    assert lay(sqlite, "m2", potassium(5.0, version=3)) == "not_used"
    lay(sqlite, "m3", potassium(7.0, version=2))
    assert standing(sqlite) == [("p", 3.0, 5.0)]


def test_a_removal_keeps_the_time_and_the_patient_of_what_it_takes_back(sqlite: Database):
    lay(sqlite, "m1", potassium(5.0, 3))
    lay(sqlite, "m2", potassium(None, 9))
    (point,) = rows(sqlite, points)
    assert (point["value"], point["observed_at"], point["patient_key"]) == (None, ORIGIN + 3 * HOUR, "p")


def test_a_removal_that_comes_first_holds_against_the_older_version(sqlite: Database):
    lay(sqlite, "m2", potassium(None, version=4))
    lay(sqlite, "m1", potassium(9.9, version=3))
    assert standing(sqlite) == []


def test_what_has_no_value_yet_is_not_remembered(sqlite: Database):
    assert lay(sqlite, "m1", potassium(None, only_known=True)) == "not_used"
    assert rows(sqlite, points) == []


def test_what_has_no_value_any_more_is_taken_back(sqlite: Database):
    lay(sqlite, "m1", potassium(9.9))
    lay(sqlite, "m2", potassium(None, version=4, only_known=True))
    assert standing(sqlite) == []


# Which result


def test_a_cumulative_report_corrects_what_came_alone_before(sqlite: Database):
    lay(sqlite, "m1", potassium(9.9, 8))
    lay(sqlite, "m2", potassium(4.1, 8, version=14), potassium(4.5, 13, version=14))
    assert standing(sqlite) == [("p", 8.0, 4.1), ("p", 13.0, 4.5)]
    lay(sqlite, "m3", potassium(4.4, 13, version=15))
    assert standing(sqlite) == [("p", 8.0, 4.1), ("p", 13.0, 4.4)]


def panel(value: float, part: str, version: float) -> Result:
    return potassium(value, base=PANEL, identity=f"{PANEL}{part}", version=version)


def test_a_whole_version_takes_back_what_it_no_longer_holds(sqlite: Database):
    lay(sqlite, "v1", panel(220, "a", 1), panel(110, "b", 1), whole=True)
    lay(sqlite, "v2", panel(80, "b", 2), whole=True)
    assert standing(sqlite) == [("p", 3.0, 80.0)]


def test_an_older_whole_version_brings_nothing_back(sqlite: Database):
    lay(sqlite, "v2", panel(80, "b", 2), whole=True)
    assert lay(sqlite, "v1", panel(220, "a", 1), panel(110, "b", 1), whole=True) == "not_used"
    assert standing(sqlite) == [("p", 3.0, 80.0)]


def test_parts_laid_before_their_resource_had_a_base_are_found(sqlite: Database):
    lay(sqlite, "v1", potassium(220, base=f"{PANEL}a"))
    lay(sqlite, "v2", panel(120, "a", 4), whole=True)
    assert standing(sqlite) == [("p", 3.0, 120.0)]
    lay(sqlite, "v3", panel(80, "b", 5), whole=True)
    assert standing(sqlite) == [("p", 3.0, 80.0)]


def test_a_part_that_is_told_again_belongs_to_its_resource_from_then_on(sqlite: Database):
    lay(sqlite, "m1", potassium(4.0, base="part", identity="part"), whole=True)
    lay(sqlite, "m2", potassium(4.0, version=4, base="panel", identity="part"), whole=True)
    lay(sqlite, "m3", potassium(None, version=5, base="panel", identity="panel", only_known=True), whole=True)
    assert standing(sqlite) == []
