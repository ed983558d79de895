"""The one door: what is submitted as a whole is committed as a whole, and what goes with it by chance does not suffer."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from dicom_samples import file_of, projection, send
from fhir_samples import observation, running_http
from hl7_sender import Sender, code, oru, result
from note_samples import kept, note

from db.tables import inputs, refusals
from db.tally import read_tallies
from producers.dicom.feed import DicomFeed
from producers.dicom.stow import store_instances
from producers.door import Door
from producers.folder.feed import FolderFeed
from producers.hl7.mllp import MllpFeed
from stream.content import INLINE_BYTES
from stream.errors import Unwritable


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
    with pytest.raises(Unwritable):
        whole.result(10)
    assert kept(written_door) == ["first", "last"]


def test_nothing_is_submitted_as_a_whole_too(written_door: Door) -> None:
    assert written_door.intake.submit_whole([]).result(10) == []


LARGE = projection(PixelData=bytes(INLINE_BYTES))


def over_dicom(door: Door, _: Path) -> None:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    assert send(feed.port, LARGE).Status == 0xC000
    feed.stop()


def over_stow(door: Door, _: Path) -> None:
    status, _ = store_instances(door, [file_of(LARGE)])
    assert status == 409


def over_fhir(door: Door, _: Path) -> None:
    with running_http(door) as client:
        assert client.post("/fhir/Observation", json=observation()).status_code == 422


def over_hl7(door: Door, _: Path) -> None:
    feed = MllpFeed(door, bind="127.0.0.1", port=0)
    feed.start()
    with Sender(feed.port) as sender:
        assert code(sender.ask(oru(result()))) == "AE"
    feed.stop()


def over_folder(door: Door, folder: Path) -> None:
    feed = FolderFeed(door, inbox=folder / "inbox", parsers={})
    feed.inbox.make()
    (folder / "inbox" / "a.dcm").write_bytes(file_of(LARGE))
    feed.look()
    feed.look()
    assert (folder / "inbox" / "refused" / "a.dcm").exists()


@pytest.mark.parametrize(
    ("feed", "send_one", "copies"),
    [("dicom", over_dicom, 1), ("stow", over_stow, 1), ("fhir", over_fhir, 1), ("hl7", over_hl7, 1), ("folder", over_folder, 0)],
)
def test_what_the_ledger_cannot_hold_is_counted_once_and_kept_once_whatever_feed_it_came_over(
    door: Door, tmp_path: Path, feed: str, send_one: Callable[[Door, Path], None], copies: int
) -> None:
    """The folder keeps its file itself."""
    with door.intake.database.write() as (connection, _):
        connection.exec_driver_sql("CREATE TRIGGER t BEFORE INSERT ON inputs BEGIN SELECT RAISE(ABORT, 'no'); END")
    send_one(door, tmp_path)
    door.intake.stop()
    with door.intake.database.read() as connection:
        assert read_tallies(connection)["refused"] == {(feed, "cannot be written"): 1}
        assert connection.execute(sa.select(refusals.c.feed, refusals.c.times)).all() == [(feed, 1)] * copies
        assert connection.execute(sa.select(inputs)).all() == []
