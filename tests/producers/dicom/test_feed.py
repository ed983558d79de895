import hashlib
import logging
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dicom_samples import DX, MARK, association, ct_slice, file_of, projection, send, send_bytes
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, generate_uid

from db.tables import case_inputs, cases, contents, events, inputs, tallies
from db.tables import refusals as kept_refusals
from producers.dicom.feed import DicomFeed
from producers.dicom.file import read_file, write_file
from producers.door import Door
from producers.folder.feed import FolderFeed
from stream.content import INLINE_BYTES, ContentStore

sys.path.insert(0, str(Path(__file__).parent))

from raw_sender import associate, talk

HIGH = 1


@pytest.fixture
def feed(door: Door) -> Iterator[DicomFeed]:
    with running(door) as feed:
        yield feed


@contextmanager
def running(door: Door) -> Iterator[DicomFeed]:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    yield feed
    feed.stop()


def rows(door: Door, table: sa.Table) -> list[Any]:
    with door.intake.database.read() as connection:
        return list(connection.execute(sa.select(table)).mappings())


def refusals(door: Door) -> dict[str, int]:
    door.intake.write_refusals()
    return {row["labels"]: row["value"] for row in rows(door, tallies) if row["metric"] == "refused"}


def test_answers_an_echo(feed: DicomFeed) -> None:
    with association(feed.port) as made:
        assert made.send_c_echo().Status == 0


def test_a_projection_image_is_an_event_at_once(feed: DicomFeed, door: Door) -> None:
    sent = projection()
    assert send(feed.port, sent).Status == 0
    (event,) = rows(door, events)
    (kept,) = rows(door, inputs)
    assert event["case_key"] == f"image:{sent.SOPInstanceUID}"
    assert (event["modality"], event["lane"], event["feed"]) == ("scan", "routine", "dicom")
    assert (kept["sender_id"], kept["disposition"], kept["event_id"]) == (sent.SOPInstanceUID, "in_event", event["id"])
    assert event["facts"]["age_years"] == 4


def test_success_is_answered_when_the_file_and_the_row_are_durable(feed: DicomFeed, door: Door) -> None:
    sent = projection(PixelData=bytes(INLINE_BYTES))
    assert send(feed.port, sent).Status == 0
    (kept,) = rows(door, inputs)
    assert door.store.get(kept["digest"])[128:132] == b"DICM"


def test_nothing_is_answered_before_the_commit(door: Door) -> None:
    held = threading.Event()
    submitted = door.intake.submit

    def submit(arrival: Any) -> Any:
        held.wait(10)
        return submitted(arrival)

    door.intake.submit = submit  # type: ignore[method-assign]
    answers: list[Dataset] = []
    with running(door) as feed:
        sender = threading.Thread(target=lambda: answers.append(send(feed.port, projection())))
        sender.start()
        time.sleep(0.5)
        assert not answers
        assert not rows(door, inputs)
        held.set()
        sender.join()
    assert answers[0].Status == 0
    assert len(rows(door, inputs)) == 1


def test_the_same_instance_twice_is_one_input(feed: DicomFeed, door: Door) -> None:
    sent = projection()
    assert [send(feed.port, sent).Status for _ in range(3)] == [0, 0, 0]
    assert (len(rows(door, inputs)), len(rows(door, events))) == (1, 1)


def test_the_same_instance_over_many_associations_at_once_is_one_input(feed: DicomFeed, door: Door) -> None:
    sent = projection(PixelData=bytes(200_000))
    answers: list[Dataset] = []
    senders = [threading.Thread(target=lambda: answers.append(send(feed.port, sent))) for _ in range(5)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert [answer.Status for answer in answers] == [0] * 5
    assert len(rows(door, inputs)) == 1


def test_the_same_identifier_with_other_content_is_kept_and_flagged(
    feed: DicomFeed, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    sent = projection()
    send(feed.port, sent)
    sent.PixelData = bytes(256)
    with caplog.at_level(logging.WARNING):
        assert send(feed.port, sent).Status == 0
    assert [kept["disposition"] for kept in rows(door, inputs)] == ["in_event", "not_used"]
    assert len(rows(door, events)) == 1
    assert "conflict=True" in caplog.text


def test_bytes_are_kept_as_they_came_and_nobody_decodes_them_on_the_way(feed: DicomFeed, door: Door) -> None:
    sent = projection(PixelData=encapsulate([b"no picture at all " * 8192]))
    sent["PixelData"].is_undefined_length = True
    content = file_of(sent)
    dataset = content[content.index(b"\x08\x00\x08\x00") :]
    named = {"sop_class": sent.SOPClassUID, "sop_instance": sent.SOPInstanceUID}
    assert send_bytes(feed.port, dataset, syntax=JPEG2000Lossless, **named).Status == 0
    (kept,) = rows(door, inputs)
    assert door.store.get(kept["digest"]).endswith(dataset)


def test_instances_that_come_while_a_commit_is_under_way_share_the_next(
    feed: DicomFeed, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted, sizes = threading.Semaphore(0), []
    submit, write = door.intake.submit, door.intake._writer.write

    def seen(arrival: Any) -> Any:
        answer = submit(arrival)
        submitted.release()
        return answer

    def counted(arrivals: Any, waited: Any) -> Any:
        sizes.append(len(arrivals))
        return write(arrivals, waited)

    monkeypatch.setattr(door.intake, "submit", seen)
    monkeypatch.setattr(door.intake._writer, "write", counted)
    senders = [threading.Thread(target=send, args=(feed.port, projection())) for _ in range(6)]
    with door.intake.database.write():
        for sender in senders:
            sender.start()
        assert all(submitted.acquire(timeout=20) for _ in senders)
    for sender in senders:
        sender.join()
    assert len(sizes) <= 2
    assert len(rows(door, inputs)) == 6


def test_half_a_dataset_is_refused_in_plain_words_and_the_receiver_lives_on(feed: DicomFeed, door: Door) -> None:
    sent = projection(PixelData=bytes(100_000))
    content = file_of(sent)
    dataset = content[content.index(b"\x08\x00\x08\x00") : -50_000]
    answer = send_bytes(feed.port, dataset, sop_class=sent.SOPClassUID, sop_instance=sent.SOPInstanceUID)
    assert answer.Status == 0xC000
    assert answer.ErrorComment == "the dataset ends in the middle of an element"
    assert not rows(door, inputs)
    assert send(feed.port, sent).Status == 0
    assert refusals(door) == {'["dicom", "cannot understand"]': 1}


def test_a_fault_of_our_own_is_answered_so_that_it_blocks_no_sender_and_tells_nothing(
    feed: DicomFeed, door: Door, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ValueError(MARK)

    monkeypatch.setattr("producers.dicom.instance.parse_header", broken)
    answer = send(feed.port, projection())
    assert (answer.Status, answer.ErrorComment) == (0xC000, "it cannot be read")
    assert refusals(door) == {'["dicom", "cannot understand"]': 1}
    assert MARK not in caplog.text


def test_a_dataset_that_is_not_the_announced_instance_is_refused(feed: DicomFeed, door: Door) -> None:
    sent = projection()
    dataset = file_of(sent)
    start = dataset.index(b"\x08\x00\x08\x00")
    for sop_class, sop_instance in ((sent.SOPClassUID, "1.2.3"), ("1.2.840.10008.5.1.4.1.1.2", sent.SOPInstanceUID)):
        answer = send_bytes(feed.port, dataset[start:], sop_class=sop_class, sop_instance=sop_instance)
        assert answer.Status == 0xA900
        assert "announced" in answer.ErrorComment
    assert not rows(door, inputs)
    assert refusals(door) == {'["dicom", "does not match"]': 2}


def test_what_was_refused_is_kept_as_a_file(feed: DicomFeed, door: Door) -> None:
    sent = projection()
    content = file_of(sent)
    dataset = content[content.index(b"\x08\x00\x08\x00") :]
    send_bytes(feed.port, dataset, sop_class=sent.SOPClassUID, sop_instance="1.2.3")
    door.intake.stop()
    (kept,) = rows(door, kept_refusals)
    assert (kept["reason"], kept["place"]) == ("SOPInstanceUID is not the one that was announced", "SOPInstanceUID")
    assert kept["content"][128:132] == b"DICM"
    assert kept["content"].endswith(dataset)


def test_a_full_disk_is_out_of_resources(door: Door, tmp_path: Path) -> None:
    with running(replace(door, store=ContentStore(tmp_path / "full", watermark=2**62))) as feed:
        answer = send(feed.port, projection())
        assert answer.Status == 0xA700
        assert answer.ErrorComment
    assert not rows(door, inputs)


def test_an_intake_that_stops_is_out_of_resources(feed: DicomFeed, door: Door) -> None:
    door.intake.stop()
    assert send(feed.port, projection()).Status == 0xA700


def test_a_series_over_many_associations_is_one_case(feed: DicomFeed, door: Door) -> None:
    series = generate_uid()
    for number in range(5):
        assert send(feed.port, ct_slice(series, number)).Status == 0
    (case,) = rows(door, cases)
    assert case["case_key"] == f"series:{series}"
    assert len(rows(door, case_inputs)) == 5
    assert {kept["disposition"] for kept in rows(door, inputs)} == {"collecting"}
    assert not rows(door, events)


def test_ten_associations_at_once_lose_nothing(feed: DicomFeed, door: Door) -> None:
    def stream() -> None:
        with association(feed.port) as made:
            for _ in range(10):
                dataset = projection(PixelData=bytes(80_000))
                file_of(dataset)
                answers.append(made.send_c_store(dataset).Status)

    answers: list[int] = []
    senders = [threading.Thread(target=stream) for _ in range(10)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert answers == [0] * 100
    assert len(rows(door, events)) == 100


def test_priority_high_is_stat(feed: DicomFeed, door: Door) -> None:
    send(feed.port, projection(), priority=HIGH)
    send(feed.port, projection(), priority=2)
    assert [event["lane"] for event in rows(door, events)] == ["stat", "routine"]


def test_a_later_high_priority_promotes_what_waits(feed: DicomFeed, door: Door) -> None:
    sent = projection()
    send(feed.port, sent)
    send(feed.port, sent, priority=HIGH)
    (event,) = rows(door, events)
    assert event["lane"] == "stat"


def configure(door: Door, text: str) -> None:
    door.feeds.folder.mkdir(parents=True, exist_ok=True)
    (door.feeds.folder / "feeds.toml").write_text(text)


def test_a_stat_sender_is_stat(door: Door) -> None:
    configure(door, '[dicom]\nstat_senders = ["TRAUMA"]\n')
    with running(door) as feed:
        send(feed.port, projection(), title="TRAUMA")
        send(feed.port, projection(), title="WARD")
    assert [event["lane"] for event in rows(door, events)] == ["stat", "routine"]


def test_an_image_of_a_stat_station_is_stat_whoever_sends_it(door: Door) -> None:
    configure(door, '[dicom]\nstat_senders = ["TRAUMA"]\n')
    with running(door) as feed:
        send(feed.port, projection(StationName="TRAUMA"), title="PACS")
    assert [event["lane"] for event in rows(door, events)] == ["stat"]


def test_where_senders_are_listed_no_other_gets_an_association(door: Door) -> None:
    configure(door, '[dicom]\nallowed_senders = ["CT1"]\n')
    with running(door) as feed:
        assert send(feed.port, projection(), title="CT1").Status == 0
        heard, _ = talk(feed.port, associate(DX.encode(), title=b"STRANGER"))
    assert heard == struct.pack(">BBL", 3, 0, 4) + b"\x00\x01\x01\x03"  # A-ASSOCIATE-RJ: calling AE title not recognised
    assert refusals(door) == {'["dicom", "association rejected"]': 1}


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + bytes(100),
        struct.pack(">BBL", 1, 0, 0xFFFFFFF0) + bytes(1000),
        struct.pack(">BBL", 4, 0, 100) + bytes(20),
        bytes(10_000),
        b"",
    ],
)
def test_noise_on_the_port_ends_only_its_own_connection(feed: DicomFeed, noise: bytes) -> None:
    with socket.create_connection(("127.0.0.1", feed.port), timeout=5) as stranger:
        stranger.sendall(noise)
    assert send(feed.port, projection()).Status == 0


def test_a_sender_that_vanishes_in_the_middle_leaves_nothing(feed: DicomFeed, door: Door) -> None:
    with association(feed.port) as made:
        made.dul.socket.send(struct.pack(">BBL", 4, 0, 5000) + bytes(100))
        made.dul.socket.socket.close()
    assert send(feed.port, projection()).Status == 0
    assert len(rows(door, inputs)) == 1


def test_no_identifier_of_a_patient_is_logged(
    feed: DicomFeed, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        sent = projection()
        send(feed.port, sent)
        sent.PatientComments = MARK
        send(feed.port, sent)
        send(feed.port, ct_slice(generate_uid(), 1, PatientAge="xxxx", StudyDate="notadate"))
        broken = file_of(sent)
        for cut in (400, 600, 900):
            send_bytes(feed.port, broken[300:cut], sop_class=sent.SOPClassUID, sop_instance=sent.SOPInstanceUID)
        send_bytes(feed.port, broken[300:], sop_class=sent.SOPClassUID, sop_instance=MARK)
        with socket.create_connection(("127.0.0.1", feed.port)) as stranger:
            stranger.sendall(struct.pack(">BBL", 1, 0, 200) + f"{MARK:200}".encode())
        time.sleep(0.2)
    said = "".join(capfd.readouterr())
    assert MARK not in caplog.text
    assert MARK not in said
    assert "stored: feed=dicom" in caplog.text


def closed_after(connection: socket.socket) -> float:
    """Seconds until the other side closes, whatever it says before."""
    began = time.monotonic()
    while connection.recv(4096):
        pass
    return time.monotonic() - began


def test_connections_that_fall_silent_are_closed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.dicom.feed.GREETING_SECONDS", 0.3)
    monkeypatch.setattr("producers.dicom.feed.IDLE_SECONDS", 0.3)
    with running(door) as feed:
        for said in (b"", struct.pack(">BBL", 1, 0, 500) + bytes(10)):
            with socket.create_connection(("127.0.0.1", feed.port), timeout=10) as stranger:
                stranger.sendall(said)
                assert closed_after(stranger) < 5
        with association(feed.port) as made:
            until = time.monotonic() + 5
            while made.is_established and time.monotonic() < until:
                time.sleep(0.05)
            assert made.is_aborted


def test_an_instance_that_would_not_fit_into_memory_ends_its_association(
    feed: DicomFeed, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.dicom.association.LONGEST_INSTANCE_BYTES", 300_000)
    assert "Status" not in send(feed.port, projection(PixelData=bytes(2_000_000)))
    assert send(feed.port, projection()).Status == 0
    assert len(rows(door, inputs)) == 1


def test_stopping_in_the_middle_of_a_store_does_not_hang(door: Door) -> None:
    held = threading.Event()
    submitted = door.intake.submit
    door.intake.submit = lambda arrival: (held.wait(10), submitted(arrival))[1]  # type: ignore[method-assign]
    with running(door) as feed:
        sender = threading.Thread(target=lambda: send(feed.port, projection()))
        sender.start()
        time.sleep(0.5)
        began = time.monotonic()
        feed.stop()
        assert time.monotonic() - began < 8
        held.set()
        sender.join(timeout=10)


def test_the_same_dataset_by_c_store_and_in_the_inbox_is_one_input(feed: DicomFeed, door: Door, tmp_path: Path) -> None:
    sent = projection()
    send(feed.port, sent)
    folder = FolderFeed(door, inbox=tmp_path / "inbox", parsers={})
    folder.inbox.make()
    (tmp_path / "inbox" / "a.dcm").write_bytes(file_of(sent))
    folder.look()
    folder.look()
    assert len(rows(door, inputs)) == 1


def test_stopping_closes_the_port(door: Door) -> None:
    with running(door) as feed:
        port = feed.port
        with association(feed.port) as made:
            assert made.is_established
            feed.stop()
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", port), timeout=2):
        pass


@pytest.mark.parametrize("size", [1_000, 300_000])
def test_an_instance_is_kept_as_a_file_under_its_own_digest(feed: DicomFeed, door: Door, size: int) -> None:
    sent = projection(PixelData=bytes(size))
    assert send(feed.port, sent).Status == 0
    (row,) = rows(door, inputs)
    with door.intake.database.read() as connection:
        small = connection.execute(sa.select(contents.c.data).where(contents.c.digest == row["digest"])).scalar()
    file = small or door.store.get(row["digest"])
    assert hashlib.sha256(file).hexdigest() == row["digest"]
    assert file == write_file(read_file(file), sop_class=sent.SOPClassUID, sop_instance=sent.SOPInstanceUID)
