"""Documents whose versions and cancels come in any order."""

from itertools import permutations
from typing import Any

import pytest
from stay_samples import HOUR, ORIGIN, content, judge, merged, revisions, rows, sent, statuses, take

from db.engine import Database
from db.tables import cases, events, inputs
from stream.arrival import CancelNote, WriteNote


def text(words: str | None, hours: float | None = None, key: str = "note:1", **more: Any) -> WriteNote:
    """A version that its sender dates so many hours after ORIGIN, or not at all; without words its status alone."""
    return WriteNote(case_key=key, text=content(words) if words else None, facts={}, version_at=at(hours), **more)


def cancel(hours: float | None = None, key: str = "note:1") -> CancelNote:
    return CancelNote(case_key=key, version_at=at(hours))


def at(hours: float | None):
    return None if hours is None else ORIGIN + hours * HOUR


def send(database: Database, *asks: Any) -> list[str]:
    """Each by itself, judged at once; gives what then stands of what was said."""
    for number, ask in enumerate(asks):
        take(database, sent(f"m{number}", ask))
        judge(database)
    return statuses(database)


@pytest.mark.parametrize("order", list(permutations([text("old", 0), cancel(1), text("late", 0.5)])))
def test_a_cancelled_document_stays_cancelled_in_every_order(sqlite: Database, order: tuple[Any, ...]):
    assert set(send(sqlite, *order)) <= {"retracted", "superseded"}


@pytest.mark.parametrize("order", list(permutations([text("old", 0), cancel(1), text("new", 2)])))
def test_a_text_that_is_newer_than_the_cancel_holds_in_every_order(sqlite: Database, order: tuple[Any, ...]):
    assert send(sqlite, *order)[-1] == "current"
    assert rows(sqlite, events)[-1]["digest"] == content("new").digest


def test_a_cancel_before_its_document_is_remembered(database: Database):
    assert send(database, cancel(1), text("old", 0)) == []
    assert [(row["disposition"], row["reason"]) for row in rows(database, inputs)] == [
        ("timeline", "the cancel of a document that is not here is remembered"),
        ("not_used", "its document was cancelled"),
    ]


def test_a_cancel_before_its_document_holds_without_dates(database: Database):
    assert send(database, cancel(), text("old"), text("old too", 5)) == []


def test_a_document_that_was_here_opens_again_without_dates(database: Database):
    assert send(database, text("old"), cancel(), text("new")) == ["retracted", "current"]


def test_at_one_moment_the_cancel_holds(database: Database):
    assert send(database, cancel(1), text("old", 1)) == []


@pytest.mark.parametrize("status", [text(None), text(None, 2)])
def test_a_status_alone_opens_no_cancelled_document(database: Database, status: WriteNote):
    assert send(database, text("old", 0), cancel(1), status) == ["retracted"]
    assert revisions(database) == [1]


def test_a_document_that_waits_is_not_released_after_its_cancel(database: Database):
    assert send(database, text("old", 0, available=False), cancel(1), text(None, 2)) == []


def test_an_older_cancel_takes_no_newer_text_back(database: Database):
    assert send(database, text("new", 2), cancel(1)) == ["current"]
    assert rows(database, inputs)[-1]["reason"] == "an older version of a document that is known"


def test_the_same_text_again_is_as_new_as_it_says(database: Database):
    assert send(database, text("a", 0), text("a", 3), text("b", 2)) == ["current"]
    assert rows(database, cases)[0]["version_at"] == at(3)


def test_a_status_does_not_make_its_text_newer(database: Database):
    assert send(database, text("a", 0, available=False), text(None, 3), text("b", 2)) == ["superseded", "current"]


def test_a_status_of_an_older_text_releases_no_newer_one(database: Database):
    assert send(database, text("a", 2, available=False), text(None, 1)) == []


def test_a_cancelled_replacement_leaves_nothing(database: Database):
    replaced = text("new", 2, known_as="note:2")
    assert send(database, text("old", 0), cancel(3, "note:2"), replaced) == ["retracted"]


def send_of(database: Database, *versions: tuple[str, WriteNote]) -> list[str]:
    """Versions of one document, each with the patient whom it names, judged at once; gives what then stands of what was said."""
    for number, (patient, ask) in enumerate(versions):
        take(database, sent(f"v{number}", ask, patient=patient))
        judge(database)
    return statuses(database)


def test_a_document_whose_patient_is_corrected_is_filed_under_that_one(database: Database):
    old, new = text("same", 0), text("same", 1)
    first = WriteNote(case_key="note:1", text=old.text, facts={"age_years": 30}, version_at=at(0))
    assert send_of(database, ("p", first), ("q", new)) == ["retracted", "current"]
    assert [row["patient_key"] for row in (*rows(database, cases), *rows(database, events))] == ["q", "p", "q"]
    assert rows(database, events)[-1]["facts"] == {}


def test_an_edit_that_corrects_the_patient_retracts(database: Database):
    assert send_of(database, ("p", text("old", 0)), ("q", text("new", 1, available=False))) == ["retracted"]


def test_an_older_version_does_not_give_a_document_back(database: Database):
    assert send_of(database, ("q", text("same", 1)), ("p", text("same", 0))) == ["current"]
    assert rows(database, cases)[0]["patient_key"] == "q"


def test_what_waited_for_the_wrong_patient_is_judged_for_nobody(database: Database):
    assert send_of(database, ("p", text("same", 0, available=False)), ("q", text("same", 1))) == ["current"]
    assert [(row["disposition"], row["reason"]) for row in rows(database, inputs)] == [
        ("timeline", "its document is another patient's"),
        ("in_event", ""),
    ]


def test_a_document_is_a_duplicate_under_two_numbers_of_one_person(database: Database):
    take(database, merged("a40"))
    assert send_of(database, ("p", text("same", 0)), ("q", text("same", 1))) == ["current"]


def test_a_document_is_a_duplicate_where_only_a_servers_id_is_told(database: Database):
    send_of(database, ("p", text("same", 0)))
    take(database, sent("bare", text("same", 1), patient="bare", by_id_alone=True))
    assert (statuses(database), rows(database, cases)[0]["patient_key"]) == (["current"], "p")


@pytest.mark.parametrize("released", [text("new"), text(None)])
def test_an_edit_that_waited_is_judged_when_it_is_released_with_the_same_text(database: Database, released: WriteNote):
    assert send(database, text("old"), text("new", available=False), released) == ["superseded", "current"]
    assert rows(database, events)[-1]["digest"] == content("new").digest
    assert {row["disposition"] for row in rows(database, inputs)} == {"in_event"}
