"""A file of HL7: one message that is not taken keeps no other out."""

from pathlib import Path

import pytest
from hl7_sender import NOW, header, message, oru, patient, plain_door, result

from producers.door import Door
from producers.hl7.file import parse_file
from stream.arrival import Arrival
from stream.errors import Refused

GOOD, OTHER = oru(result(), control_id="1"), oru(result(), control_id="3")
APPOINTMENT = message(header("SIU^S12", "2"), patient())


@pytest.fixture
def desk(tmp_path: Path) -> Door:
    return plain_door(tmp_path)


def read(door: Door, content: bytes) -> list[Arrival]:
    return parse_file(content, door=door, received_at=NOW, feed="folder")


def test_a_batch_keeps_all_that_is_taken_and_says_which_message_was_refused_and_why(desk: Door) -> None:
    one, refused, three = read(desk, b"FHS|^~\\&\rBHS|^~\\&\r" + GOOD + APPOINTMENT + OTHER + b"BTS|3\rFTS|1\r")
    assert [one.sender_id, three.sender_id] == ["1", "3"]
    assert (refused.asks, refused.patient_key) == ((), "")
    assert refused.not_used == "refused: message 2 of 3: message type not supported (MSH^1^9^1^1)"
    assert refused.content.data == APPOINTMENT


def test_a_file_of_which_nothing_is_taken_is_refused_and_says_of_which_message(desk: Door) -> None:
    with pytest.raises(Refused) as single:
        read(desk, APPOINTMENT)
    with pytest.raises(Refused) as several:
        read(desk, APPOINTMENT * 2)
    assert (single.value.reason, single.value.where) == ("message type not supported", "MSH^1^9^1^1")
    assert several.value.reason == "message 1 of 2: message type not supported"


def test_a_refused_message_of_a_batch_is_one_input_however_often_it_comes(desk: Door) -> None:
    first, again = (read(desk, GOOD + APPOINTMENT.replace(b"\r", end)) for end in (b"\r", b"\n"))
    assert (first[1].identity, first[1].content) == (again[1].identity, again[1].content)
    assert first[1].identity != first[0].identity
