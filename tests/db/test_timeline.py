"""Movements and results of a stay in any order, and what has it judged again."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from stay_samples import HOUR, ORIGIN, judge, judged_values, moved, quiet, results, revisions, rows, sent, statuses, take

from db.close import Closer
from db.engine import Database
from db.tables import analytes_seen, cases, events, inputs, movements
from stream.arrival import AddResults, Arrival, RefusedPoint
from stream.content import ContentStore
from stream.queues import Lane
from stream.window import Window

ADULT, CHILD = {"age_years": 60.0, "sex": "female"}, {"age_years": 9.0, "sex": "female"}


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def judged_once(database: Database, store: ContentStore, *more: Arrival) -> None:
    admit = moved("admit", 0, facts=ADULT, person="a")
    take(database, sent("a01", admit), sent("m1", results(1.0)), *more)
    quiet(database, store)
    judge(database)


def judge_again(database: Database, store: ContentStore) -> list[dict[str, object]]:
    quiet(database, store)
    judge(database)
    return rows(database, events)[1:]


def test_a_transfer_may_come_before_its_admission(database: Database):
    take(database, sent("a02", moved("transfer", 5)))
    take(database, sent("a01", moved("admit", 0, intensive=False)))
    assert rows(database, cases)[0]["origin_at"] == ORIGIN + 5 * HOUR


def test_a_cancel_may_come_before_what_it_cancels(database: Database):
    take(database, sent("a11", moved("cancel_admit", 1)))
    take(database, sent("a01", moved("admit", 0)))
    assert rows(database, cases) == []
    take(database, sent("a01 again", moved("admit", 0, recorded=2)))
    assert rows(database, cases)[0]["origin_at"] == ORIGIN


def test_results_may_come_before_any_movement(database: Database, store: ContentStore):
    take(database, sent("m1", results(1.0)))
    take(database, sent("a01", moved("admit", 0)))
    quiet(database, store)
    (event,) = judge(database)
    assert judged_values(database, store.folder, event) == [1.0]


def test_a_movement_told_again_is_recorded_once(database: Database):
    for name in ("a01", "a01 again"):
        take(database, sent(name, moved("admit", 0)))
    assert len(rows(database, movements)) == 1


def test_a_discharge_after_the_window_changes_nothing(database: Database, store: ContentStore):
    judged_once(database, store)
    (receipt,) = take(database, sent("a03", moved("discharge", 72)))
    assert receipt.disposition == "timeline"
    assert judge_again(database, store) == []


def test_a_discharge_inside_the_window_has_the_stay_judged_again_and_its_cancel_too(database: Database, store: ContentStore):
    judged_once(database, store)
    take(database, sent("a03", moved("discharge", 20)))
    (left,) = judge_again(database, store)
    take(database, sent("a13", moved("cancel_discharge", 21)))
    *_, stayed = judge_again(database, store)
    assert [event["facts"]["window_complete"] for event in (left, stayed)] == [False, True]
    assert statuses(database) == ["superseded", "superseded", "current"]


def test_a_corrected_admission_moves_the_window_and_retracts(database: Database, store: ContentStore):
    judged_once(database, store, sent("m2", results(2.0, 50, "c")))
    take(database, sent("a08", moved("correct_admit", 4, intensive=None, recorded=60, facts=ADULT, person="a")))
    assert statuses(database) == ["retracted"]
    quiet(database, store)
    (event,) = judge(database)
    assert judged_values(database, store.folder, event) == [2.0]
    assert rows(database, cases)[0]["origin_at"] == ORIGIN + 4 * HOUR


def test_a_corrected_birth_date_has_the_stay_judged_again(database: Database, store: ContentStore):
    judged_once(database, store)
    take(database, sent("a08", moved("update", 60, intensive=None, facts=CHILD, person="b")))
    (again,) = judge_again(database, store)
    assert again["facts"]["age_years"] == 9.0
    assert statuses(database) == ["superseded", "current"]


def test_an_update_that_says_nothing_new_changes_nothing(database: Database, store: ContentStore):
    judged_once(database, store)
    take(database, sent("a08", moved("update", 60, intensive=None, facts={**ADULT, "age_years": 61.0}, person="a")))
    assert judge_again(database, store) == []
    assert {row["disposition"] for row in rows(database, inputs)} == {"in_event", "timeline"}


def test_an_update_may_come_before_the_admission(database: Database):
    take(database, sent("a08", moved("correct_admit", 2, intensive=None, recorded=9, facts=CHILD, person="b")))
    take(database, sent("a01", moved("admit", 0, facts=ADULT, person="a")))
    assert rows(database, cases)[0]["origin_at"] == ORIGIN + 2 * HOUR


def test_a_later_stat_promotes_an_event_that_waits(database: Database, store: ContentStore):
    take(database, sent("a01", moved("admit", 0)), sent("m1", results(1.0)))
    quiet(database, store)
    assert [row["lane"] for row in rows(database, events)] == ["routine"]
    take(database, sent("m2", results(2.0, base="c"), lane=Lane.STAT))
    assert [row["lane"] for row in rows(database, events)] == ["stat"]
    quiet(database, store)
    assert [row["lane"] for row in rows(database, events)] == ["stat", "stat"]
    assert revisions(database) == [1, 2]


def refused(hours: float | None, reason: str = "unknown unit") -> AddResults:
    at = None if hours is None else ORIGIN + hours * HOUR
    return AddResults(results=(), refused=(RefusedPoint(code="2823-3", reason=reason, observed_at=at),))


def test_refused_points_of_the_window_are_listed_whatever_else_their_message_held(database: Database, store: ContentStore):
    take(database, sent("before", refused(2)))
    judged_once(database, store, sent("m2", refused(4)), sent("m3", refused(72)), sent("m4", refused(4), patient="q"))
    (event,) = rows(database, events)
    assert event["facts"]["refused_points"] == [{"code": "2823-3", "reason": "unknown unit", "n": 2}]


def test_a_refused_point_without_a_time_is_listed_when_its_message_belongs_to_the_stay(database: Database, store: ContentStore):
    without_time = refused(None, "no observation time").refused
    both = AddResults(results=results(1.0, base="c").results, refused=without_time)
    judged_once(database, store, sent("m2", both), sent("m3", AddResults(results=(), refused=without_time)))
    (event,) = rows(database, events)
    assert event["facts"]["refused_points"] == [{"code": "2823-3", "reason": "no observation time", "n": 1}]


def test_an_analyte_that_was_not_seen_for_a_week_is_not_connected(database: Database, store: ContentStore):
    (creatinine,) = results(1.0).results
    sodium = AddResults(results=(replace(creatinine, base="na", code="2951-2", value=140.0),))
    take(database, sent("a01", moved("admit", 0)), sent("m1", results(1.0)), sent("m2", sodium))
    with database.write() as (connection, now):
        long_ago = now - timedelta(days=8)
        connection.execute(sa.update(analytes_seen).where(analytes_seen.c.code == "2951-2").values(last_seen_at=long_ago))
        closer = Closer(store=store, window=Window(), codes=("2160-0", "2951-2", "2823-3"), slot="test")
        closer.close_due(connection, now + timedelta(minutes=2))
    (event,) = rows(database, events)
    assert event["facts"]["not_connected"] == ["2823-3", "2951-2"]
