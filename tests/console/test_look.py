"""What the pages read: filters, pages that miss nothing, groups, timelines; on both databases."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from ledger_samples import put_event

from db.actions import act_on_dead
from db.engine import Database
from db.look_event import one_event
from db.look_events import PAGE, Filters, events_page, said_of
from db.look_patient import newest_patients, timeline
from db.look_trouble import Group, dead_groups, dead_of, newest_actions, newest_dead, not_predicted_groups
from db.tables import actions, aliases, findings, predictions


def put(database: Database, *many: dict) -> list[int]:
    with database.write() as (connection, now):
        return [put_event(connection, now, number, **values) for number, values in enumerate(many)]


def found(database: Database, *, before=None, after=None, **filters):
    with database.read() as connection:
        return events_page(connection, database.now(connection), Filters(**filters), before=before, after=after)


def ids(page) -> list[int]:
    return [row["id"] for row in page.rows]


def test_pages_one_after_the_other_show_every_event_once_newest_first(database):
    made = put(database, *[{}] * (2 * PAGE + 7))
    seen, page = [], found(database)
    while True:
        seen += ids(page)
        if page.older is None:
            break
        page = found(database, before=page.older)
    assert seen == sorted(made, reverse=True)


def test_the_way_back_shows_the_same_pages(database):
    put(database, *[{}] * (2 * PAGE + 7))
    first = found(database)
    second = found(database, before=first.older)
    assert ids(found(database, after=second.newer)) == ids(first)
    assert first.newer is None


def test_a_page_that_begins_with_the_newest_of_a_filter_has_no_newer_one(database):
    put(database, *[{"modality": "note"}] * 3)
    page = found(database, modality="note")
    assert (page.older, page.newer) == (None, None)


ROWS = (
    {"modality": "lab", "lane": "stat", "feed": "hl7"},
    {"state": "dead", "outcome": "", "reason": "its 50% content is gone"},
    {"outcome": "rejected", "reason": "Too Short"},
    {"state": "waiting", "outcome": "", "done_at": None},
    {"patient_key": "zz"},
)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"modality": "lab"}, [0]),
        ({"lane": "stat"}, [0]),
        ({"feed": "hl7"}, [0]),
        ({"state": "dead"}, [1]),
        ({"outcome": "rejected"}, [2]),
        ({"reason": "too short"}, [2]),
        ({"reason": "50%"}, [1]),
        ({"reason": "5_%"}, []),
        ({"state": "waiting"}, [3]),
        ({"patient": "zz"}, [4]),
        ({"state": "done", "modality": "scan", "outcome": "predicted"}, [4]),
    ],
)
def test_a_filter_finds_what_it_names_and_nothing_else(database, filters, wanted):
    made = put(database, *ROWS)
    assert ids(found(database, **filters)) == [made[place] for place in wanted]


def test_delayed_is_what_waits_for_a_time_to_come(database):
    with database.write() as (connection, now):
        later = {"state": "waiting", "outcome": "", "not_before": now + timedelta(hours=1)}
        over = {"state": "waiting", "outcome": "", "not_before": now - timedelta(hours=1)}
        delayed = put_event(connection, now, 1, **later)
        put_event(connection, now, 2, **over)
    assert ids(found(database, state="delayed")) == [delayed]


def test_times_are_from_inclusive_to_exclusive(database):
    with database.write() as (connection, now):
        made = [put_event(connection, now, number, received_at=now + timedelta(minutes=number)) for number in range(4)]
    assert ids(found(database, since=now + timedelta(minutes=1), until=now + timedelta(minutes=3))) == [made[2], made[1]]


def test_a_merged_patients_events_are_found_by_either_key(database):
    made = put(database, {"patient_key": "a"}, {"patient_key": "b"})
    with database.write() as (connection, now):
        connection.execute(sa.insert(aliases).values(other="b", patient_key="a", input_id=1, made_at=now))
    assert ids(found(database, patient="a")) == ids(found(database, patient="b")) == made[::-1]
    with database.read() as connection:
        assert {row["id"] for row in timeline(connection, "b")["events"]} == set(made)


@pytest.mark.parametrize(
    "filters", [{}, {"modality": "scan"}, {"reason": "x", "feed": "y"}, {"outcome": "rejected", "lane": "stat"}]
)
def test_a_page_is_read_in_the_order_of_the_key_and_never_sorted(sqlite, filters):
    statements = []
    sa.event.listen(sqlite.engine, "before_cursor_execute", lambda *given: statements.append((given[2], given[3])))
    found(sqlite, before=10, **filters)
    with sqlite.read() as connection:
        text, values = next(pair for pair in statements if "FROM events" in pair[0])
        plan = " ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values))
    assert "TEMP B-TREE" not in plan


def test_what_was_said_is_the_newest_prediction_with_a_positive_finding_first(database):
    (event,) = put(database, {})
    with database.write() as (connection, now):
        for number, digest in ((1, "a"), (2, "b")):
            row = {"id": number, "event_id": event, "case_key": "c", "model": digest, "version": "1", "model_digest": digest}
            row |= {"input_digest": "", "status": "current", "uncertain": False, "device": "cpu", "created_at": now, "details": {}}
            connection.execute(sa.insert(predictions).values(row))
        for label, chance, positive in (("likely", 0.6, False), ("certain", 0.4, True)):
            row = {"prediction_id": 2, "label": label, "probability": chance, "threshold": 0.5, "positive": positive}
            connection.execute(sa.insert(findings).values(row))
    with database.read() as connection:
        assert said_of(connection, [event])[event]["finding"]["label"] == "certain"
        assert len(one_event(connection, event)["predictions"]) == 2


def test_an_event_that_is_not_there_is_none(database):
    with database.read() as connection:
        assert one_event(connection, 1) is None


def test_a_life_has_every_revision_of_its_case(database):
    made = put(database, {"case_key": "same"}, {"case_key": "same", "revision": 2})
    with database.read() as connection:
        assert [row["id"] for row in one_event(connection, made[0])["revisions"]] == made


DEAD = {"state": "dead", "outcome": "", "stage": "infer"}


def test_dead_events_are_grouped_by_reason_the_largest_group_first(database):
    made = put(database, {**DEAD, "reason": "a"}, {**DEAD, "reason": "b"}, {**DEAD, "reason": "b"}, {})
    with database.read() as connection:
        assert [(row["reason"], row["n"]) for row in dead_groups(connection)] == [("b", 2), ("a", 1)]
        assert dead_of(connection, Group(modality="scan", stage="infer", reason="b")) == [made[2], made[1]]


def test_what_ended_without_a_prediction_is_grouped_since_a_time(database):
    put(database, {"outcome": "rejected", "reason": "r"}, {"outcome": "unmatched", "reason": "u"}, {})
    with database.read() as connection:
        now = database.now(connection)
        assert {row["reason"] for row in not_predicted_groups(connection, now - timedelta(days=1))} == {"r", "u"}
        assert not_predicted_groups(connection, now + timedelta(days=1)) == []


def test_a_deed_on_many_events_is_one_line_and_a_row_each(database):
    made = put(database, *[{**DEAD, "reason": "a"}] * 3, {})
    with database.write() as (connection, now):
        assert act_on_dead(connection, now, "drop", made, who="Ada", reason="old") == 3
    with database.read() as connection:
        (line,) = newest_actions(connection, 10)
        assert (line["who"], line["act"], line["n"], line["reason"]) == ("Ada", "drop", 3, "old")
        assert newest_dead(connection, 10) == []
        assert connection.execute(sa.select(sa.func.count()).select_from(actions)).scalar() == 3


def test_what_was_dropped_once_is_not_dropped_again(database):
    made = put(database, {**DEAD, "reason": "a"})
    with database.write() as (connection, now):
        assert [act_on_dead(connection, now, "drop", made, who="Ada") for _ in range(2)] == [1, 0]


def test_what_was_dropped_can_still_be_retried(database):
    made = put(database, {**DEAD, "reason": "a"})
    with database.write() as (connection, now):
        act_on_dead(connection, now, "drop", made, who="Ada")
        assert act_on_dead(connection, now, "retry", made, who="Bo") == 1


def test_patients_that_were_heard_of_last_come_once_each(database):
    put(database, {"patient_key": "a"}, {"patient_key": "b"}, {"patient_key": "a"}, {"patient_key": ""})
    with database.read() as connection:
        assert [(row["key"], row["n"]) for row in newest_patients(connection)] == [("a", 2), ("b", 1)]
