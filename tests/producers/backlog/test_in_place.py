"""Files that are not copied: the ledger remembers where they lie, and a worker believes only what has the right digest."""

from pathlib import Path

import pytest
from dicom_samples import file_of, projection
from hl7_sender import oru, result
from pushing import Pushing

from db.claim import claim, fetch
from db.leases import WorkerRow, enlist
from db.tables import content_places, contents, inputs
from producers.dicom.file import read_file
from stream.content import ContentStore
from stream.errors import Broken, Temporary
from stream.event import Event


def image(**keywords: object) -> bytes:
    return file_of(projection(Rows=512, Columns=512, PixelData=bytes(2**18), **keywords))


@pytest.fixture
def path(archive: Path) -> Path:
    path = archive / "a.dcm"
    path.write_bytes(image())
    return path


def fetched(pushing: Pushing) -> tuple[bytes, ...] | Exception:
    """What a worker gets of the one event that waits."""
    (event,) = _claimed(pushing)
    return fetch(pushing.database, ContentStore(pushing.place / "content"), [event])[event.id]


def _claimed(pushing: Pushing) -> list[Event]:
    with pushing.database.write() as (connection, now):
        worker = enlist(connection, now, WorkerRow(name="w", device="cpu", host="h", pid=1, queues="all"))
    return claim(pushing.database, worker)


def test_a_file_in_place_is_not_copied(pushing: Pushing, path: Path):
    pushing.push(path, in_place=True)
    assert not list(pushing.place.joinpath("content").rglob("*")) + list(pushing.rows(contents))


def test_a_worker_reads_it_where_it_lies_in_the_one_form_that_we_keep(pushing_on_both: Pushing, path: Path):
    pushing_on_both.push(path, in_place=True)
    (content,) = fetched(pushing_on_both)
    assert read_file(content).dataset == read_file(path.read_bytes()).dataset


def test_it_is_the_same_input_as_over_any_other_feed(pushing: Pushing, path: Path):
    pushing.push(path, in_place=True)
    copied = path.with_name("again.dcm")
    copied.write_bytes(path.read_bytes())
    assert pushing.push(copied)["known"] == 1
    assert len(pushing.rows(inputs)) == 1


def test_a_small_image_in_place_is_not_copied_either(pushing: Pushing, archive: Path):
    (archive / "small.dcm").write_bytes(file_of(projection()))
    pushing.push(archive, in_place=True)
    assert (len(pushing.rows(content_places)), len(pushing.rows(contents))) == (1, 0)


def test_what_is_no_dicom_file_is_kept_as_always(pushing: Pushing, archive: Path):
    (archive / "a.hl7").write_bytes(oru(result()))
    pushing.push(archive, in_place=True)
    assert (len(pushing.rows(content_places)), len(pushing.rows(contents))) == (0, 1)


def test_a_file_that_is_gone_is_told_as_gone(pushing: Pushing, path: Path):
    pushing.push(path, in_place=True)
    path.unlink()
    found = fetched(pushing)
    assert isinstance(found, Broken)
    assert str(found) == "its file is gone from where it was left in place"


def test_a_file_that_has_changed_is_told_as_changed(pushing: Pushing, path: Path):
    pushing.push(path, in_place=True)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    found = fetched(pushing)
    assert isinstance(found, Broken)
    assert str(found) == "its file, left in place, has changed since it was taken in"


def test_a_file_that_cannot_be_read_now_is_tried_again_later(pushing: Pushing, path: Path):
    pushing.push(path, in_place=True)
    path.unlink()
    path.mkdir()
    assert isinstance(fetched(pushing), Temporary)


def test_a_file_that_moved_is_found_where_it_was_pushed_last(pushing: Pushing, path: Path):
    pushing.push(path, in_place=True)
    moved = path.rename(path.with_name("moved.dcm"))
    pushing.push(moved, in_place=True)
    assert isinstance(fetched(pushing), tuple)


def test_a_copy_in_the_store_is_used_when_the_file_is_gone(pushing: Pushing, path: Path):
    pushing.push(path, in_place=True)
    copied = path.with_name("again.dcm")
    path.rename(copied)
    pushing.push(copied)
    copied.unlink()
    assert isinstance(fetched(pushing), tuple)
