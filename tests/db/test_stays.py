"""A stay told whole: what follows for its case and for what was said of it."""

from pathlib import Path

import pytest
from stay_samples import HOUR, ORIGIN, judge, moved, quiet, results, revisions, rows, sent, statuses, take

from db.engine import Database
from db.tables import cases, inputs
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
