"""The one door: what is submitted as a whole is committed as a whole, and what goes with it by chance does not suffer."""

import pytest
from note_samples import kept, note

from producers.door import Door
from stream.errors import Refused


def test_several_are_answered_with_a_receipt_each_in_order(written_door: Door) -> None:
    sent = [note(written_door, name) for name in ("a", "b", "a")]
    receipts = written_door.intake.submit_whole(sent).result(10)
    assert [receipt.known for receipt in receipts] == [False, False, True]
    assert receipts[0].input_id == receipts[2].input_id
    assert kept(written_door) == ["a", "b"]


def test_of_several_none_is_kept_where_one_cannot_be_written_and_their_neighbours_are(written_door: Door) -> None:
    intake = written_door.intake
    with intake.database.write():  # so that all of it waits for one commit
        first = intake.submit(note(written_door, "first"))
        whole = intake.submit_whole([note(written_door, "a"), note(written_door, "b", bad=object())])
        last = intake.submit(note(written_door, "last"))
    assert (first.result(10).known, last.result(10).known) == (False, False)
    with pytest.raises(Refused):
        whole.result(10)
    assert kept(written_door) == ["first", "last"]


def test_nothing_is_submitted_as_a_whole_too(written_door: Door) -> None:
    assert written_door.intake.submit_whole([]).result(10) == []
