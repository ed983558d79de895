"""Verify: rows without content and content without rows."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.accept import accept
from db.engine import Database
from db.places import Place, write_places
from db.tables import contents, events, inputs
from db.verify import Found, verify
from stream.arrival import Arrival, JudgeNow, WriteNote
from stream.content import INLINE_BYTES, Content, ContentStore
from stream.keep import Keep
from stream.window import Window


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def send(database: Database, name: str, content: Content) -> None:
    ask = JudgeNow(case_key=f"image:{name}", modality="scan", facts={})
    arrival = Arrival(feed="dicom", identity=name, sender_id=name, content=content, asks=(ask,))
    with database.write() as (connection, now):
        accept(connection, now, [arrival], slot="test", window=Window())


def look(database: Database, store: ContentStore, **kept: timedelta) -> Found:
    return verify(database, store, Keep(**kept))


def large(letter: bytes) -> bytes:
    return letter * (INLINE_BYTES + 1)


def test_a_ledger_whose_contents_are_all_there_has_no_fault(database: Database, store: ContentStore):
    send(database, "row", store.put(b"small"))
    send(database, "file", store.put(large(b"a")))
    text = store.put(b"the text of a note")
    ask = WriteNote(case_key="note:1", text=text, facts={})
    note = Arrival(feed="hl7", identity="n", sender_id="n", content=store.put(b"its message"), asks=(ask,))
    with database.write() as (connection, now):
        accept(connection, now, [note], slot="test", window=Window())
    found = look(database, store)
    assert (found.rows, found.contents, found.missing, found.orphans) == (6, 4, [], [])


def test_a_row_whose_content_is_gone_is_named(database: Database, store: ContentStore):
    gone, lost = store.put(large(b"a")), store.put(b"small")
    send(database, "file", gone)
    send(database, "row", lost)
    store.path(gone.digest).unlink()
    with database.write() as (connection, _):
        connection.execute(sa.delete(contents))
    named = [(next(iter(one)), one["digest"], one["why"]) for one in look(database, store).missing]
    assert named == [(kind, one.digest, "its content is gone") for kind in ("input", "event") for one in (gone, lost)]


def test_a_file_that_was_cut_off_is_named(database: Database, store: ContentStore):
    content = store.put(large(b"a"))
    send(database, "file", content)
    os.truncate(store.path(content.digest), 10)
    assert [one["why"] for one in look(database, store).missing] == [f"its file has 10 bytes, not {INLINE_BYTES + 1}"]


def test_content_that_no_row_names_is_an_orphan_once_it_is_a_day_old(database: Database, store: ContentStore):
    young, old = store.put(large(b"a")), store.put(large(b"b"))
    os.utime(store.path(old.digest), (0, 0))
    with database.write() as (connection, now):
        rows = [{"digest": "y", "data": b"1", "kept_at": now}, {"digest": "o", "data": b"12", "kept_at": now - timedelta(days=2)}]
        connection.execute(sa.insert(contents), rows)
    found = look(database, store)
    assert [(one["digest"], one["bytes"]) for one in found.orphans] == [("o", 2), (old.digest, INLINE_BYTES + 1)]
    assert store.path(young.digest).exists()


def test_what_retention_took_from_finished_rows_is_no_fault(database: Database, store: ContentStore):
    content = store.put(large(b"a"))
    send(database, "file", content)
    store.path(content.digest).unlink()
    with database.write() as (connection, now):
        long_ago = now - timedelta(days=9)
        connection.execute(sa.update(inputs).values(accepted_at=long_ago))
        connection.execute(sa.update(events).values(received_at=long_ago, state="done"))
    assert look(database, store, content=timedelta(days=3)).pruned == 2
    assert len(look(database, store, content=timedelta(days=30)).missing) == 2


def test_what_an_unfinished_event_needs_is_a_fault_however_old_it_is(database: Database, store: ContentStore):
    content = store.put(large(b"a"))
    send(database, "file", content)
    store.path(content.digest).unlink()
    with database.write() as (connection, now):
        connection.execute(sa.update(events).values(received_at=now - timedelta(days=9)))
        connection.execute(sa.update(inputs).values(accepted_at=now - timedelta(days=9)))
    assert [next(iter(one)) for one in look(database, store, content=timedelta(days=3)).missing] == ["event"]


def test_content_that_was_left_in_place_is_there_as_long_as_its_file_is(database: Database, store: ContentStore, tmp_path: Path):
    content = Content(digest="f" * 64, size=INLINE_BYTES + 1, data=None)
    left = tmp_path / "archive.dcm"
    left.write_bytes(b"image")
    send(database, "left", content)
    with database.write() as (connection, _):
        write_places(connection, [Place(digest=content.digest, path=str(left), start=0, head=b"")])
    assert look(database, store).missing == []
    left.unlink()
    assert len(look(database, store).missing) == 2
