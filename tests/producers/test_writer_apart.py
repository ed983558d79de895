"""The process that writes for the intake: what it writes, what it says when it cannot, and what follows when it ends."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fhir_samples import SERVER

from db.engine import Database
from db.tables import inputs
from producers.fhir.around import Around
from producers.fhir.patient import read_patient
from producers.writer import NotWritten
from producers.writer_apart import WriteApart
from stream.arrival import Arrival, JudgeNow, KnowPatient
from stream.content import Content
from stream.errors import OutOfSpace, Temporary
from stream.feeds import FeedConfig
from stream.window import Window


@pytest.fixture
def writer(database: Database) -> Iterator[WriteApart]:
    """On SQLite and on PostgreSQL."""
    with_process = WriteApart(database, slot="test", window=Window())
    with_process.start()
    yield with_process
    with_process.close()


def an_arrival(name: str, *asks: Any, content: Content | None = None) -> Arrival:
    content = content or Content(digest=name.rjust(64, "0"), size=1, data=name.encode())
    asked = asks or (JudgeNow(case_key=f"image:{name}", modality="scan", facts={}),)
    return Arrival(feed="dicom", identity=f"dicom:{name}", sender_id=name, content=content, asks=asked)


def kept(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(inputs.c.sender_id).order_by(inputs.c.id)).scalars())


def test_a_group_is_written_and_each_arrival_has_its_receipt(writer, database):
    accepted = writer.write([an_arrival("one"), an_arrival("two")], [0.0, 0.0])
    assert [receipt.disposition for receipt in accepted.receipts] == ["in_event", "in_event"]
    assert kept(database) == ["one", "two"]
    assert list(accepted.rings) == ["scan.routine"]


def test_a_process_that_died_while_nothing_came_costs_no_group(writer, database):
    writer.write([an_arrival("one")], [0.0])
    os.kill(writer.pid, signal.SIGKILL)
    os.waitid(os.P_PID, writer.pid, os.WEXITED | os.WNOWAIT)
    writer.write([an_arrival("two")], [0.0])
    assert kept(database) == ["one", "two"]


def test_a_process_that_dies_with_a_group_in_hand_is_temporary_and_the_group_is_written_when_it_comes_again(writer, database):
    pid = writer.pid
    waiting = Content(digest="1" * 64, size=1, data=None, on_its_way=True, saved=Future())
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    threading.Timer(0.5, waiting.saved.set_result, (None,)).start()  # type: ignore[union-attr]
    with pytest.raises(Temporary):
        writer.write([an_arrival("one", content=waiting)], [0.0])
    assert kept(database) == []
    writer.write([an_arrival("one", content=waiting)], [0.0])
    assert kept(database) == ["one"]


def test_after_its_end_it_takes_no_group_and_starts_no_process(writer):
    writer.close()
    with pytest.raises(Temporary):
        writer.write([an_arrival("one")], [0.0])
    assert writer.pid is None


def test_a_stop_signal_does_not_cut_a_commit_short(writer, database):
    writer.write([an_arrival("one")], [0.0])
    pid = writer.pid
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    writer.write([an_arrival("two")], [0.0])
    assert writer.pid == pid


def test_the_process_ends_when_the_intake_s_end_closes(writer):
    writer.write([an_arrival("one")], [0.0])
    pid = writer.pid
    writer.close()
    assert not Path(f"/proc/{pid}").exists()


def test_a_group_that_the_ledger_cannot_hold_is_named_by_the_kind_of_error_alone(writer, database):
    unbound = an_arrival("SMITH", JudgeNow(case_key=None, modality="scan", facts={}))  # type: ignore[arg-type]
    with pytest.raises(NotWritten) as raised:
        writer.write([an_arrival("one"), unbound], [0.0, 0.0])
    assert "SMITH" not in str(raised.value)
    assert kept(database) == []


def test_an_error_keeps_its_kind_across_the_two_processes(sqlite):
    writer = WriteApart(sqlite, slot="test", window=Window())
    path = Path(str(sqlite.url.database))
    writer.write([an_arrival("one")], [0.0])
    os.kill(writer.pid, signal.SIGKILL)  # type: ignore[arg-type]
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    for _ in range(2):  # its death may still be under way; then a database that cannot be opened
        with pytest.raises(Temporary) as raised:
            writer.write([an_arrival("two")], [0.0])
    writer.close()
    assert "database" in str(raised.value)


def test_what_kept_a_file_from_the_store_is_raised_and_nothing_is_written(writer, database):
    saved: Future[None] = Future()
    content = Content(digest="1" * 64, size=1, data=None, on_its_way=True, saved=saved)
    saved.set_exception(OutOfSpace("full"))
    with pytest.raises(OutOfSpace):
        writer.write([an_arrival("one", content=content)], [0.0])
    assert kept(database) == []


def test_a_patient_as_fhir_reads_it_travels(writer, database, door):
    feed = FeedConfig(name="fhir", defaults={"sex": "female"})
    around = Around(door=door, feed=feed, received_at=datetime.now(UTC), source=SERVER, vouched=frozenset({SERVER}))
    ask = read_patient({"resourceType": "Patient", "id": "p1", "birthDate": "1950-01-02"}, around)
    assert isinstance(ask, KnowPatient)
    writer.write([an_arrival("one", ask)], [0.0])
    assert kept(database) == ["one"]
