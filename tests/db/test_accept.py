"""The commit at the door."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from db.accept import accept
from db.engine import Database
from db.people import same_person
from db.tables import cases, events, inputs, points
from producers.door import Door
from stream.arrival import AddResults, Arrival, JudgeNow, Merge, Move, RefusedPoint, Result, WriteNote
from stream.content import Content
from stream.errors import Refused
from stream.points import FLAG_PRELIMINARY
from stream.window import Window

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def take(database: Database, *arrivals: Arrival):
    with database.write() as (connection, now):
        return accept(connection, now, arrivals, slot="test", window=Window())


def rows(database: Database, table: sa.Table):
    with database.read() as connection:
        return connection.execute(sa.select(table).order_by(table.c.id)).mappings().all()


def content(text: str) -> Content:
    return Content(digest=text.rjust(64, "0"), size=len(text), data=text.encode())


def image(uid: str, text: str = "pixels") -> Arrival:
    ask = JudgeNow(case_key=f"image:{uid}", modality="scan", facts={"age_years": 3})
    return Arrival(feed="dicom", identity=f"sop:{uid}", sender_id=uid, content=content(text), patient_key="p", asks=(ask,))


def message(name: str, *asks, patient: str = "p") -> Arrival:
    return Arrival(feed="hl7", identity=f"hl7:{name}", sender_id=name, content=content(name), patient_key=patient, asks=asks)


def result(base: str, value: float | None, *, at: datetime = NOW, version: datetime = NOW, **more) -> Result:
    return Result(base=base, code="2160-0", value=value, flags=0, observed_at=at, available_at=at, version_at=version, **more)


def admit(at: datetime, stay: str = "visit") -> Move:
    return Move(kind="admit", stay=stay, at=at, intensive=True, facts={"age_years": 60})


def test_a_projection_image_is_an_event_at_once(database: Database):
    accepted = take(database, image("1.2.3"))
    (event,) = rows(database, events)
    assert (event["state"], event["modality"], event["revision"]) == ("waiting", "scan", 1)
    assert accepted.rings == {"scan.routine": [event["id"]]}
    assert rows(database, inputs)[0]["event_id"] == event["id"]


def test_the_same_instance_twice_is_one_input(database: Database):
    take(database, image("1.2.3"))
    again = take(database, image("1.2.3"), image("1.2.3"))
    assert [receipt.known for receipt in again.receipts] == [True, True]
    assert len(rows(database, inputs)) == len(rows(database, events)) == 1


def test_the_same_instance_twice_in_one_group_is_one_input(database: Database):
    accepted = take(database, image("1.2.3"), image("1.2.3"))
    assert len(rows(database, inputs)) == 1
    assert len({receipt.input_id for receipt in accepted.receipts}) == 1


def test_the_same_instance_with_other_content_is_kept_and_flagged(database: Database):
    take(database, image("1.2.3"))
    (receipt,) = take(database, image("1.2.3", "other pixels")).receipts
    assert receipt.conflict
    assert [row["disposition"] for row in rows(database, inputs)] == ["in_event", "not_used"]


def test_results_without_a_stay_are_kept_on_the_timeline(database: Database):
    (receipt,) = take(database, message("m1", AddResults(results=(result("b", 1.0),)))).receipts
    assert receipt.disposition == "timeline"
    assert rows(database, points)[0]["value"] == 1.0


def test_a_known_input_says_again_what_was_refused_of_it_and_nothing_is_laid_anew(database: Database):
    refused = (RefusedPoint(code="2951-2", reason="in the future"), RefusedPoint(code="2160-0", reason="no unit"))
    first, twice = take(database, *[message("m1", AddResults(results=(), refused=refused))] * 2).receipts
    (again,) = take(database, message("m1", AddResults(results=(result("b", 1.0),)))).receipts
    assert (first.refused, twice.refused, again.refused) == (refused, refused, refused)
    assert (twice.known, again.known, rows(database, points)) == (True, True, [])


def test_a_correction_replaces_and_an_older_version_never_replaces_a_newer(database: Database):
    take(database, message("m1", AddResults(results=(result("b", 1.0),))))
    take(database, message("m2", AddResults(results=(result("b", 2.0, version=NOW + timedelta(hours=1)),))))
    (receipt,) = take(database, message("m3", AddResults(results=(result("b", 3.0, version=NOW - timedelta(hours=1)),)))).receipts
    assert [row["value"] for row in rows(database, points)] == [2.0]
    assert receipt.disposition == "not_used"


def test_results_inside_a_stays_window_gather(database: Database):
    take(database, message("a01", admit(NOW)))
    (receipt,) = take(database, message("m1", AddResults(results=(result("b", 1.0, at=NOW + timedelta(hours=3)),)))).receipts
    assert receipt.disposition == "collecting"


def test_results_that_came_before_the_admission_gather_too(database: Database):
    take(database, message("m1", AddResults(results=(result("b", 1.0, at=NOW + timedelta(hours=3)),))))
    take(database, message("a01", admit(NOW)))
    assert {row["disposition"] for row in rows(database, inputs)} == {"collecting"}


def test_a_cancelled_admission_leaves_no_origin(database: Database):
    take(database, message("a01", admit(NOW)))
    take(database, message("a11", Move(kind="cancel_admit", stay="visit", at=NOW, intensive=True)))
    assert rows(database, cases)[0]["origin_at"] is None
    assert rows(database, cases)[0]["close_at"] is None
    assert {row["disposition"] for row in rows(database, inputs)} == {"timeline"}


def test_repeated_results_of_one_message_are_told_apart_by_their_time(database: Database):
    two = (result("b", 1.0), result("b", 2.0, at=NOW + timedelta(hours=1)))
    take(database, message("m1", AddResults(results=two)))
    later = result("b", 5.0, at=NOW + timedelta(hours=1), version=NOW + timedelta(hours=9))
    take(database, message("m2", AddResults(results=(later,))))
    assert [row["value"] for row in rows(database, points)] == [1.0, 5.0]


def test_an_admission_told_twice_is_undone_by_one_cancel(database: Database):
    take(database, message("a01", admit(NOW)))
    take(database, message("a01 again", admit(NOW)))
    take(database, message("a11", Move(kind="cancel_admit", stay="visit", at=NOW, intensive=True)))
    assert rows(database, cases)[0]["origin_at"] is None


def test_a_result_that_is_corrected_out_of_the_window_has_the_stay_judged_again(database: Database):
    take(database, message("a01", admit(NOW)))
    take(database, message("m1", AddResults(results=(result("b", 1.0, at=NOW + timedelta(hours=3)),))))
    later = result("b", 1.0, at=NOW + timedelta(days=9), version=NOW + timedelta(days=9))
    (receipt,) = take(database, message("m2", AddResults(results=(later,)))).receipts
    assert receipt.disposition == "collecting"


def test_a_preliminary_result_that_becomes_final_loses_its_flag(database: Database):
    take(database, message("m1", AddResults(results=(replace(result("b", 1.0), flags=FLAG_PRELIMINARY),))))
    take(database, message("m2", AddResults(results=(result("b", 1.0, version=NOW + timedelta(hours=1)),))))
    assert rows(database, points)[0]["flags"] & FLAG_PRELIMINARY == 0


def test_an_older_version_of_a_document_is_not_used(database: Database):
    for number, version in ((1, NOW), (2, NOW - timedelta(days=1))):
        ask = WriteNote(case_key="note:1", text=content(f"text {number}"), facts={}, version_at=version)
        (receipt,) = take(database, message(f"d{number}", ask)).receipts
    assert receipt.disposition == "not_used"
    assert len(rows(database, events)) == 1


def test_a_merge_brings_both_keys_results_into_the_stay(database: Database):
    take(database, message("a01", admit(NOW), patient="p"))
    take(database, message("m1", AddResults(results=(result("b", 1.0, at=NOW + timedelta(hours=3)),)), patient="q"))
    take(database, message("a40", Merge(other="q")))
    with database.read() as connection:
        assert same_person(connection, "p") == same_person(connection, "q") == ["p", "q"]
    assert rows(database, cases)[0]["close_at"] is not None


def test_one_culprit_of_a_group_is_refused_alone_and_the_rest_is_taken(door: Door):
    bad = replace(image("9"), asks=(JudgeNow(case_key="image:9", modality="scan", facts={"bad": object()}),))
    answers = [door.intake.submit(arrival) for arrival in (image("1"), bad, image("2"))]
    assert answers[0].result(10).disposition == answers[2].result(10).disposition == "in_event"
    with pytest.raises(Refused):
        answers[1].result(10)
