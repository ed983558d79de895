from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dicom_samples import DX, file_of, projection
from pydicom import Dataset

from db.tables import events, inputs
from producers.dicom.stow import Stored, parse_multipart, store_instances, store_response
from producers.door import Door
from producers.folder.feed import FolderFeed
from stream.content import ContentStore
from stream.errors import Refused, Unsupported

TYPE = 'multipart/related; type="application/dicom"; boundary=edge'


def body_of(*parts: bytes, header: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    return b"".join(b"--edge\r\n" + header + b"\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"


def rows(door: Door) -> list[Any]:
    with door.intake.database.read() as connection:
        return list(connection.execute(sa.select(inputs)).mappings())


@pytest.mark.parametrize(
    "content_type", [TYPE, 'multipart/related; boundary="edge"', "Multipart/Related;boundary=edge;type=application/dicom"]
)
def test_parts_are_given_back_as_they_are(content_type: str) -> None:
    parts = [b"one", b"", b"\r\n--edg\r\n\r\n", bytes(range(256))]
    assert parse_multipart(body_of(*parts), content_type) == parts


def test_a_preamble_a_last_line_and_parts_without_a_header_do_no_harm() -> None:
    body = b"for old mail programs\r\n" + body_of(b"one", header=b"") + b"after"
    assert parse_multipart(body, TYPE) == [b"one"]


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (body_of(b"one"), "application/dicom", Unsupported),
        (body_of(b"one"), 'multipart/related; type="application/dicom+json"; boundary=edge', Unsupported),
        (body_of(b"one", header=b"Content-Type: image/jpeg\r\n"), TYPE, Unsupported),
        (body_of(b"one"), "multipart/related", Refused),
        (body_of(b"one")[:-10], TYPE, Refused),
        (body_of(), TYPE, Refused),
        (b"", TYPE, Refused),
        (b"noise", TYPE, Refused),
        (b"--edge\r\nno end of the header\r\n--edge--", TYPE, Refused),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(body: bytes, content_type: str, kind: type[Refused]) -> None:
    with pytest.raises(kind):
        parse_multipart(body, content_type)


def test_stored_instances_are_listed_and_committed(door: Door) -> None:
    sent = [projection(), projection()]
    status, body = store_instances(door, [file_of(dataset) for dataset in sent])
    answer = Dataset.from_json(body)
    assert status == 200
    assert [one.ReferencedSOPInstanceUID for one in answer.ReferencedSOPSequence] == [one.SOPInstanceUID for one in sent]
    assert {one.ReferencedSOPClassUID for one in answer.ReferencedSOPSequence} == {DX}
    assert {kept["feed"] for kept in rows(door)} == {"stow"}


@pytest.mark.parametrize(
    ("station", "sender", "lanes"),
    [("TRAUMA", "", ["stat"]), ("WARD", "10.1.2.3", ["routine"]), ("WARD", "10.1.2.4", ["stat"]), (None, "", ["routine"])],
)
def test_a_station_or_a_sender_on_the_list_is_stat(door: Door, station: str | None, sender: str, lanes: list[str]) -> None:
    door.feeds.folder.mkdir(parents=True, exist_ok=True)
    (door.feeds.folder / "feeds.toml").write_text('[dicom]\nstat_senders = ["TRAUMA", "10.1.2.4"]\n')
    assert store_instances(door, [file_of(projection(StationName=station))], sender=sender)[0] == 200
    with door.intake.database.read() as connection:
        assert list(connection.execute(sa.select(events.c.lane)).scalars()) == lanes


def test_what_cannot_be_read_is_said_and_the_rest_is_stored(door: Door) -> None:
    status, body = store_instances(door, [file_of(projection()), b"noise"])
    answer = Dataset.from_json(body)
    assert status == 202
    assert len(answer.ReferencedSOPSequence) == 1
    assert answer.OtherFailuresSequence[0].FailureReason == 0xC000
    assert len(rows(door)) == 1


def test_where_nothing_can_be_read_it_is_a_conflict(door: Door) -> None:
    assert store_instances(door, [b"noise"])[0] == 409


def test_a_full_disk_is_insufficient_storage(door: Door, tmp_path: Path) -> None:
    full = replace(door, store=ContentStore(tmp_path / "full", watermark=2**62))
    assert store_instances(full, [file_of(projection())])[0] == 507


def test_an_intake_that_stops_is_unavailable(door: Door) -> None:
    door.intake.stop()
    status, body = store_instances(door, [file_of(projection())])
    assert status == 503
    assert Dataset.from_json(body).FailedSOPSequence[0].FailureReason == 0xA700


def test_the_answer_without_anything_is_still_well_formed() -> None:
    assert store_response([Stored(sop_class="1.2", sop_instance="1.2.3")])[1]["00081190"] == {"vr": "UR"}


def test_the_same_dataset_over_stow_and_the_folder_is_one_input(door: Door, tmp_path: Path) -> None:
    content = file_of(projection())
    store_instances(door, [content])
    folder = FolderFeed(door, inbox=tmp_path / "inbox", parsers={})
    folder.inbox.make()
    (tmp_path / "inbox" / "a.dcm").write_bytes(content)
    folder.look()
    folder.look()
    assert len(rows(door)) == 1


def test_a_failure_is_said_in_words_too(door: Door) -> None:
    _, body = store_instances(door, [b"noise"])
    assert body["0008119A"]["Value"][0]["00000902"]["Value"] == ["not a DICOM file: no DICM at byte 128"]


def test_an_instance_of_another_study_than_the_request_names_is_not_taken(door: Door) -> None:
    own, stray = projection(), projection()
    status, body = store_instances(door, [file_of(own), file_of(stray)], own.StudyInstanceUID)
    answer = Dataset.from_json(body)
    assert status == 202
    assert [one.ReferencedSOPInstanceUID for one in answer.ReferencedSOPSequence] == [own.SOPInstanceUID]
    assert [one.ReferencedSOPInstanceUID for one in answer.FailedSOPSequence] == [stray.SOPInstanceUID]
    assert answer.FailedSOPSequence[0].FailureReason == 0xA900
    assert len(rows(door)) == 1
