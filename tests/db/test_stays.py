"""A stay told whole: what follows for its case and for what was said of it."""

from pathlib import Path

import pytest
from stay_samples import HOUR, ORIGIN, judge, judged_values, merged, moved, quiet, results, revisions, rows, sent, statuses, take

from db.engine import Database
from db.tables import cases, events, inputs
from stream.arrival import Move, TellCourse
from stream.content import ContentStore


def told(version: float, *moves: Move, by: str = "e", **more) -> TellCourse:
    return TellCourse(stay="visit", told_by=by, moves=moves, version_at=ORIGIN + version * HOUR, **more)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def judged(database: Database, store: ContentStore) -> None:
    """A stay in intensive care with a result, of which a worker has said something."""
    take(database, sent("v1", told(0, moved("admit", 0))), sent("r", results(5.0)))
    quiet(database, store)
    judge(database)
    assert statuses(database) == ["current"]


def test_a_course_that_is_told_again_leaves_what_was_said(database: Database, store: ContentStore):
    judged(database, store)
    (receipt,) = take(database, sent("v2", told(1, moved("admit", 0), moved("discharge", 60, intensive=None))))
    assert (receipt.reason, statuses(database)) == ("nothing of the stay's window has changed", ["current"])


def test_a_corrected_origin_retracts_and_judges_again(database: Database, store: ContentStore):
    judged(database, store)
    take(database, sent("v2", told(1, moved("admit", -2, intensive=False), moved("transfer", 1))))
    assert statuses(database) == ["retracted"]
    quiet(database, store)
    assert (revisions(database), rows(database, cases)[0]["origin_at"]) == ([1, 2], ORIGIN + HOUR)


def test_an_encounter_that_was_an_error_retracts(database: Database, store: ContentStore):
    judged(database, store)
    (receipt,) = take(database, sent("v2", told(1)))
    assert (receipt.reason, statuses(database)) == ("the admission to intensive care was undone", ["retracted"])


def test_what_others_told_of_the_visit_stands(database: Database):
    take(database, sent("a02", moved("transfer", 2)), sent("v1", told(3, moved("admit", 0))))
    take(database, sent("v2", told(4)))
    assert rows(database, cases)[0]["origin_at"] == ORIGIN + 2 * HOUR


def test_facts_are_those_of_the_moment_of_the_origin(database: Database):
    take(
        database,
        sent(
            "v1", told(3, moved("admit", 0, intensive=False, facts={"age_years": 1}), moved("transfer", 5, facts={"age_years": 2}))
        ),
    )
    assert rows(database, cases)[0]["facts"] == {"age_years": 2, "setting": "icu"}


def test_an_encounter_that_is_no_stay_is_not_remembered(database: Database):
    take(database, sent("v2", told(2, why="not a stay in hospital")), sent("v1", told(1, moved("admit", 0))))
    assert [row["reason"] for row in rows(database, inputs)] == ["not a stay in hospital", ""]
    assert rows(database, cases)[0]["origin_at"] == ORIGIN


def test_a_stay_whose_patient_is_corrected_is_judged_again_with_that_ones_results(database: Database, store: ContentStore):
    known = moved("admit", 0, facts={"age_years": 30})
    take(database, sent("v1", told(0, known)), sent("r", results(5.0)), sent("other", results(9.0, base="c"), patient="q"))
    quiet(database, store)
    judge(database)
    take(database, sent("late", results(6.0)))
    take(database, sent("v2", told(1, moved("admit", 0, facts={"sex": "male"})), patient="q"))
    assert statuses(database) == ["retracted"]
    dispositions = [row["disposition"] for row in rows(database, inputs)]
    assert dispositions == ["in_event", "in_event", "collecting", "timeline", "collecting"]
    quiet(database, store)
    (event,) = judge(database)
    assert (judged_values(database, store.folder, event), event.facts["sex"], "age_years" in event.facts) == ([9.0], "male", False)
    assert (rows(database, cases)[0]["patient_key"], rows(database, events)[-1]["patient_key"]) == ("q", "q")
    assert statuses(database) == ["retracted", "current"]


def test_what_came_together_with_the_correction_is_accounted_for(database: Database, store: ContentStore):
    versions = [sent("v1", told(0, moved("admit", 0))), sent("v2", told(1, moved("admit", 0)), patient="q")]
    take(database, versions[0], sent("r", results(5.0)), versions[1])
    quiet(database, store)
    assert {row["disposition"] for row in rows(database, inputs)} == {"in_event"}
    assert [judged_values(database, store.folder, event) for event in judge(database)] == [[]]


def test_an_admission_told_again_with_another_patient_moves_the_stay(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)))
    quiet(database, store)
    judge(database)
    take(database, sent("again", moved("admit", 0), patient="q"), sent("update", moved("update", 2, intensive=None), patient="q"))
    assert (rows(database, cases)[0]["patient_key"], statuses(database)) == ("q", ["retracted"])


def test_a_movement_that_comes_late_does_not_give_the_stay_back(database: Database):
    right = moved("transfer", 1, recorded=3, facts={"age_years": 40})
    take(database, sent("a02", right, patient="q"), sent("a01", moved("admit", 0, facts={"age_years": 30})))
    (case,) = rows(database, cases)
    assert (case["patient_key"], case["origin_at"], case["facts"]["age_years"]) == ("q", ORIGIN, 40)


def test_two_numbers_that_a_merge_made_one_are_no_other_patient(database: Database, store: ContentStore):
    judged(database, store)
    take(database, merged("a40"))
    quiet(database, store)
    judge(database)
    (receipt,) = take(database, sent("v2", told(1, moved("admit", 0)), patient="q"))
    assert (receipt.reason, statuses(database)) == ("nothing of the stay's window has changed", ["current"])
    assert rows(database, cases)[0]["patient_key"] == "p"


def test_a_patient_who_is_known_by_a_servers_id_alone_is_no_other(database: Database, store: ContentStore):
    judged(database, store)
    (receipt,) = take(database, sent("v2", told(1, moved("admit", 0)), patient="bare", by_id_alone=True))
    assert (receipt.reason, statuses(database)) == ("nothing of the stay's window has changed", ["current"])


def test_an_encounter_in_error_does_not_say_whose_the_stay_is(database: Database):
    take(database, sent("a01", moved("admit", 0)), sent("v1", told(1), patient="q"))
    take(database, sent("a03", moved("discharge", 60, intensive=None, recorded=0)))
    assert rows(database, cases)[0]["patient_key"] == "p"
