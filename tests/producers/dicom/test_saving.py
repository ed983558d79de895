"""Files are saved while the ledger's rows are written: none is answered, or committed, before its file is durable."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dicom_samples import file_of, projection

from db.tables import inputs
from producers.dicom.file import read_file
from producers.dicom.instance import prepare
from producers.door import Door
from stream import disk
from stream.content import INLINE_BYTES
from stream.errors import OutOfSpace


def rows(door: Door) -> list[Any]:
    with door.intake.database.read() as connection:
        return list(connection.execute(sa.select(inputs)).mappings())


def large() -> bytes:
    return file_of(projection(PixelData=bytes(INLINE_BYTES)))


def test_nothing_is_committed_before_its_file_is_saved(written_door: Door) -> None:
    door = written_door
    arrival, file = prepare(door, read_file(large()), feed="dicom")
    answer = door.intake.submit(arrival)
    time.sleep(0.3)
    assert not answer.done()
    assert not rows(door)
    door.store.save(arrival.content, file)
    assert answer.result(5).input_id
    assert door.store.get(rows(door)[0]["digest"]) == file


def test_a_file_that_cannot_be_saved_takes_no_other_input_with_it(written_door: Door) -> None:
    door = written_door
    first, _ = prepare(door, read_file(large()), feed="dicom")
    blocked = door.intake.submit(first)
    time.sleep(0.1)
    lost, _ = prepare(door, read_file(large()), feed="dicom")
    kept, file = prepare(door, read_file(large()), feed="dicom")
    answers = [door.intake.submit(one) for one in (lost, kept)]
    assert lost.content.saved
    lost.content.saved.set_exception(OutOfSpace("full"))
    door.store.save(kept.content, file)
    assert first.content.saved
    first.content.saved.set_exception(OutOfSpace("full"))
    with pytest.raises(OutOfSpace):
        blocked.result(5)
    with pytest.raises(OutOfSpace):
        answers[0].result(5)
    assert answers[1].result(5).input_id
    assert [row["digest"] for row in rows(door)] == [kept.content.digest]


@pytest.mark.parametrize("size", [0, 1, disk.BLOCK - 1, disk.BLOCK, disk.BLOCK + 1, disk.CHUNK, 2 * disk.CHUNK + 17])
@pytest.mark.parametrize("direct", [True, False])
def test_a_file_of_any_length_is_written_as_it_is(tmp_path: Path, size: int, direct: bool, monkeypatch: Any) -> None:
    if not direct:
        monkeypatch.setattr(disk.os, "O_DIRECT", 0)
    content = bytes(range(256)) * (size // 256 + 1)
    disk.write_durably(tmp_path / "file", content[:size])
    assert (tmp_path / "file").read_bytes() == content[:size]


def test_many_threads_write_each_their_own_bytes(tmp_path: Path) -> None:
    def write(number: int) -> None:
        disk.write_durably(tmp_path / str(number), bytes((number,)) * 300_000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((tmp_path / str(number)).read_bytes() == bytes((number,)) * 300_000 for number in range(16))
