import json

import pytest

from dxstream.hospital.book import ACKNOWLEDGED, GIVEN_UP, REFUSED, Book, compare
from dxstream.hospital.cases import HL7, NOTE, Case, Sending


@pytest.fixture
def book(tmp_path):
    return Book(tmp_path / "sent" / "book.jsonl")


def write(book, sender_id, answer="AA", outcome=ACKNOWLEDGED):
    sending = Sending(protocol=HL7, sender_id=sender_id, content=b"MSH|")
    book.write(Case(kind=NOTE, sendings=(sending,)), sending, answer, outcome)


def rows(*sender_ids):
    return [{"sender_id": one, "feed": "hl7", "disposition": "in_event", "reason": "", "event_id": 1} for one in sender_ids]


def test_a_book_that_agrees_says_nothing(book):
    write(book, "A")
    write(book, "B")
    assert compare(book, rows("B", "A", "of another sender")) == []


def test_a_missing_input_is_noticed(book):
    write(book, "A")
    assert compare(book, rows()) == ["hl7 note A: acknowledged, but 0 inputs"]


def test_a_doubled_input_is_noticed(book):
    write(book, "A")
    assert compare(book, rows("A", "A")) == ["hl7 note A: acknowledged, but 2 inputs"]


def test_what_was_sent_twice_is_one_input(book):
    write(book, "A")
    write(book, "A")
    assert compare(book, rows("A")) == []


def test_a_refusal_and_a_silence_are_noticed(book):
    write(book, "A", "AE", REFUSED)
    write(book, "B", "closed", GIVEN_UP)
    assert compare(book, rows()) == ["hl7 note A: refused (AE)", "hl7 note B: given up (closed)"]


def test_every_line_can_be_read_by_anybody(book):
    write(book, "A")
    (line,) = book.path.read_text().splitlines()
    assert json.loads(line)["sender_id"] == "A"
    assert len(json.loads(line)["sha256"]) == 64


def test_a_book_that_was_never_begun_is_empty(book):
    assert book.entries() == []
