import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dicom_samples import MARK, file_of, projection

from db.tables import events, inputs
from producers.door import Door
from producers.folder.feed import FolderFeed, Parser
from stream.arrival import Arrival, WriteNote
from stream.content import ContentStore
from stream.errors import Refused

PATIENCE = 10.0  # seconds


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def feed(door: Door, inbox: Path) -> Iterator[FolderFeed]:
    feed = FolderFeed(door, inbox=inbox, parsers={".hl7": lines_of(door)})
    feed.start()
    yield feed
    feed.stop()


def lines_of(door: Door) -> Parser:
    """Each line a note of its own; a line "bad" is refused by the parser, "worse" by the ledger; nobody expected "odd"."""

    def parse(content: bytes, name: str) -> list[Arrival]:
        lines = content.decode().split()
        if "odd" in lines:
            raise KeyError
        if "bad" in lines:
            raise Refused("a bad line", where="OBX^3")
        return [note(door, name, number, line) for number, line in enumerate(lines)]

    return parse


def note(door: Door, name: str, number: int, line: str) -> Arrival:
    key = f"note:{name}-{number}"
    kept = door.store.put(line.encode())
    facts: dict[str, Any] = {"not JSON": object()} if line == "worse" else {}
    return Arrival(
        feed="folder", identity=key, sender_id=name, content=kept, asks=(WriteNote(case_key=key, text=kept, facts=facts),)
    )


def put(path: Path, content: bytes) -> Path:
    """As a careful sender does it: under another name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    aside.write_bytes(content)
    return aside.rename(path)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def rows(door: Door, table: sa.Table) -> list[Any]:
    with door.intake.database.read() as connection:
        return list(connection.execute(sa.select(table)).mappings())


def test_a_dicom_file_is_taken_and_moves_to_done(feed: FolderFeed, door: Door, inbox: Path) -> None:
    sent = projection()
    put(inbox / "a.dcm", file_of(sent))
    wait_for((inbox / "done" / "a.dcm").exists)
    (kept,) = rows(door, inputs)
    assert (kept["feed"], kept["sender_id"], kept["disposition"]) == ("folder", sent.SOPInstanceUID, "in_event")
    assert not (inbox / "a.dcm").exists()


@pytest.mark.parametrize("name", ["IM000001", "1.2.840.99.1", "A.DCM"])
def test_a_dicom_file_is_known_by_its_bytes_where_the_name_says_nothing(
    feed: FolderFeed, door: Door, inbox: Path, name: str
) -> None:
    put(inbox / name, file_of(projection()))
    wait_for((inbox / "done" / name).exists)
    assert len(rows(door, events)) == 1


def test_the_same_dataset_twice_is_one_input(feed: FolderFeed, door: Door, inbox: Path) -> None:
    content = file_of(projection())
    put(inbox / "a.dcm", content)
    put(inbox / "b.dcm", b"x" * 128 + content[128:])
    wait_for(lambda: (inbox / "done" / "a.dcm").exists() and (inbox / "done" / "b.dcm").exists())
    assert len(rows(door, inputs)) == 1


def test_a_text_file_is_a_note_with_the_facts_that_the_operator_gave(door: Door, inbox: Path) -> None:
    door.feeds.folder.mkdir(parents=True)
    (door.feeds.folder / "feeds.toml").write_text('[folder.defaults]\ndocument_type = "11488-4"\n')
    feed = FolderFeed(door, inbox=inbox, parsers={})
    feed.start()
    put(inbox / "letter.txt", "Müde seit Tagen.".encode())
    wait_for((inbox / "done" / "letter.txt").exists)
    feed.stop()
    (event,) = rows(door, events)
    assert (event["modality"], event["facts"]) == ("note", {"document_type": "11488-4", "defaults": ["document_type"]})


def test_the_same_file_name_with_other_text_is_an_edit_and_with_the_same_text_nothing(
    feed: FolderFeed, door: Door, inbox: Path
) -> None:
    for number, text in enumerate((b"one", b"two", b"two")):
        put(inbox / "letter.txt", text)
        wait_for(lambda number=number: len(list((inbox / "done").iterdir())) == number + 1)
    assert [event["revision"] for event in rows(door, events)] == [1, 2]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("b.txt", b"  \n", "no text"),
        ("c.dcm", b"not DICOM", "not a DICOM file"),
        ("d.dcm", file_of(projection(PixelData=bytes(5000)))[:-3000], "ends in the middle"),
        ("e.xyz", b"what is this", "suffix"),
        ("f.hl7", b"bad", "a bad line (OBX^3)"),
        ("g.hl7", b"", "nothing in this file"),
        ("sub/h.xyz", b"what is this", "suffix"),
    ],
)
@pytest.mark.usefixtures("feed")
def test_what_cannot_be_taken_moves_to_refused_with_the_reason(
    door: Door, inbox: Path, name: str, content: bytes, reason: str
) -> None:
    put(inbox / name, content)
    wait_for((inbox / "refused" / name).exists)
    assert reason in (inbox / "refused" / f"{name}.reason").read_text()
    assert (inbox / "refused" / name).read_bytes() == content
    assert not rows(door, inputs)


def test_several_inputs_of_one_file_are_submitted_together(feed: FolderFeed, door: Door, inbox: Path) -> None:
    put(inbox / "batch.hl7", b"one two three")
    wait_for((inbox / "done" / "batch.hl7").exists)
    assert len(rows(door, inputs)) == 3


def test_where_one_of_several_is_refused_the_reason_says_which_and_the_others_are_kept(
    feed: FolderFeed, door: Door, inbox: Path
) -> None:
    put(inbox / "batch.hl7", b"one worse three")
    wait_for((inbox / "refused" / "batch.hl7").exists)
    assert (inbox / "refused" / "batch.hl7.reason").read_text().startswith("input 2 of 3: ")
    assert len(rows(door, inputs)) == 2


def test_dotfiles_and_unfinished_files_are_ignored(feed: FolderFeed, door: Door, inbox: Path) -> None:
    for name in (".hidden.txt", "upload.txt.part", ".folder/a.txt"):
        (inbox / name).parent.mkdir(exist_ok=True)
        (inbox / name).write_bytes(b"text")
    put(inbox / "last.txt", b"text")
    wait_for((inbox / "done" / "last.txt").exists)
    assert (inbox / ".hidden.txt").exists()
    assert (inbox / "upload.txt.part").exists()
    assert len(rows(door, inputs)) == 1


def test_a_pipe_in_the_inbox_is_not_waited_for(feed: FolderFeed, door: Door, inbox: Path) -> None:
    wait_for(inbox.is_dir)
    os.mkfifo(inbox / "a.txt")
    put(inbox / "b.txt", b"text")
    wait_for((inbox / "done" / "b.txt").exists)
    assert len(rows(door, inputs)) == 1


def test_sub_folders_are_read_and_kept_apart(feed: FolderFeed, door: Door, inbox: Path) -> None:
    put(inbox / "monday" / "a.txt", b"text of monday")
    put(inbox / "tuesday" / "a.txt", b"text of tuesday")
    wait_for(lambda: (inbox / "done/monday/a.txt").exists() and (inbox / "done/tuesday/a.txt").exists())
    assert {kept["sender_id"] for kept in rows(door, inputs)} == {"monday/a.txt", "tuesday/a.txt"}
    assert len(rows(door, events)) == 2


def test_nothing_in_done_or_refused_is_overwritten(feed: FolderFeed, door: Door, inbox: Path) -> None:
    for number in range(3):
        put(inbox / "a.txt", f"text {number}".encode())
        wait_for(lambda: not (inbox / "a.txt").exists())
    assert sorted(path.name for path in (inbox / "done").iterdir()) == ["a.txt", "a~2.txt", "a~3.txt"]
    assert {path.read_bytes() for path in (inbox / "done").iterdir()} == {b"text 0", b"text 1", b"text 2"}


def test_a_file_that_is_still_growing_is_left_alone(door: Door, inbox: Path) -> None:
    feed = FolderFeed(door, inbox=inbox, parsers={})
    feed.inbox.make()
    path = inbox / "growing.txt"
    for size in range(1, 5):
        path.write_bytes(b"x" * size)
        feed.look()
        assert path.exists()
    feed.look()
    assert not path.exists()


def test_a_full_disk_leaves_the_file_and_it_is_taken_when_there_is_room(
    door: Door, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.folder.feed.RETRY_SECONDS", 0.0)
    store = ContentStore(tmp_path / "content", watermark=2**62)
    feed = FolderFeed(replace(door, store=store), inbox=inbox, parsers={})
    feed.inbox.make()
    put(inbox / "a.txt", b"text")
    for _ in range(3):
        feed.look()
    assert (inbox / "a.txt").exists()
    store.watermark = 0
    feed.look()
    assert (inbox / "done" / "a.txt").exists()


def test_a_file_that_is_written_again_while_it_is_taken_is_taken_again(door: Door, inbox: Path) -> None:
    feed = FolderFeed(door, inbox=inbox, parsers={".late": lambda content, name: written_meanwhile(content)})
    feed.inbox.make()
    path = put(inbox / "a.late", b"first")

    def written_meanwhile(content: bytes) -> list[Arrival]:
        if content == b"first":
            path.write_bytes(b"second text")
        return [note(door, "a.late", 0, content.decode())]

    for _ in range(4):
        feed.look()
    assert (inbox / "done" / "a.late").read_bytes() == b"second text"
    assert len(rows(door, inputs)) == 2


def test_a_file_that_cannot_be_moved_does_not_hold_up_the_others(door: Door, inbox: Path) -> None:
    feed = FolderFeed(door, inbox=inbox, parsers={})
    feed.inbox.make()
    (inbox / "done" / "stuck").write_bytes(b"where a folder should be")
    put(inbox / "stuck" / "a.txt", b"text")
    put(inbox / "b.txt", b"text")
    for _ in range(2):
        feed.look()
    assert (inbox / "stuck" / "a.txt").exists()
    assert (inbox / "done" / "b.txt").exists()


def test_a_process_that_dies_between_commit_and_move_takes_the_file_again_and_nothing_twice(door: Door, inbox: Path) -> None:
    first, second = (FolderFeed(door, inbox=inbox, parsers={}) for _ in range(2))
    first.inbox.make()
    first.inbox.put_away = lambda path, reason: None  # type: ignore[method-assign]  # killed here
    put(inbox / "a.dcm", file_of(projection()))
    for feed in (first, first, second, second):
        feed.look()
    assert (inbox / "done" / "a.dcm").exists()
    assert (len(rows(door, inputs)), len(rows(door, events))) == (1, 1)


def test_no_identifier_of_a_patient_is_logged(feed: FolderFeed, inbox: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        put(inbox / f"{MARK}.dcm", file_of(projection()))
        put(inbox / f"{MARK}.{MARK}", MARK.encode())
        put(inbox / f"{MARK}.txt", MARK.encode() + b"\xff")
        put(inbox / f"{MARK}~.txt", MARK.encode())
        wait_for(lambda: not list(inbox.glob(f"{MARK}*")))
    assert MARK not in caplog.text
    assert "taken: feed=folder" in caplog.text


def test_a_file_that_ends_in_an_error_of_ours_stays_and_the_others_are_taken(feed: FolderFeed, inbox: Path) -> None:
    put(inbox / "a.hl7", b"odd")
    wait_for(lambda: inbox / "a.hl7" in feed._later)
    put(inbox / "b.hl7", b"fine")
    wait_for((inbox / "done" / "b.hl7").exists)
    assert (inbox / "a.hl7").exists()
