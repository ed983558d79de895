"""A real PACS forwards to us: every instance is one input with the right digest, however often and over whatever it comes."""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dicom_samples import ct_slice, file_of, projection
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from db.series import EXPECTED
from db.tables import cases, inputs
from dxstream.free_port import free_port
from producers.dicom import source
from producers.dicom.feed import DicomFeed
from producers.dicom.file import read_file, write_file
from producers.dicom.header import parse_header
from producers.door import Door
from producers.http.server import HttpFeed

sys.path.insert(0, str(Path(__file__).parent))

from orthanc import BINARY, DICOMWEB, MISSING, Orthanc, running_orthanc

pytestmark = pytest.mark.skipif(not BINARY, reason=MISSING)


@pytest.fixture
def feed(door: Door) -> Iterator[DicomFeed]:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    yield feed
    feed.stop()


@pytest.fixture
def web(door: Door) -> Iterator[HttpFeed]:
    web = HttpFeed(door, bind="127.0.0.1", port=0, token="", ready=lambda: None)
    web.start()
    yield web
    web.stop()


@pytest.fixture
def orthanc(feed: DicomFeed, web: HttpFeed, tmp_path: Path) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path, dicom=feed.port, web=web.port) as orthanc:
        yield orthanc


def rows(door: Door, table: sa.Table = inputs) -> list[Any]:
    with door.intake.database.read() as connection:
        return list(connection.execute(sa.select(table)).mappings())


def digest(content: bytes) -> str:
    """Of the canonical file, which is what the ledger names."""
    instance = read_file(content)
    header = parse_header(instance)
    return hashlib.sha256(write_file(instance, sop_class=header.sop_class, sop_instance=header.sop_instance)).hexdigest()


def samples() -> list[bytes]:
    series, study = generate_uid(), generate_uid()
    slices = [file_of(ct_slice(series, number, StudyInstanceUID=study, PixelData=bytes(100_000))) for number in range(5)]
    return [file_of(projection()), file_of(projection(), syntax=ImplicitVRLittleEndian), *slices]


def test_what_orthanc_forwards_by_c_store_is_one_input_each(orthanc: Orthanc, door: Door) -> None:
    sent = samples()
    names = [orthanc.upload(content) for content in sent]
    for _ in range(2):
        assert orthanc.store(names)["FailedInstancesCount"] == 0
    assert sorted(row["digest"] for row in rows(door)) == sorted(map(digest, sent))


@pytest.mark.skipif(not DICOMWEB.exists(), reason="Orthanc's DICOMweb plug-in is not installed: apt-get install orthanc-dicomweb")
def test_what_orthanc_forwards_by_stow_is_one_input_each(orthanc: Orthanc, door: Door) -> None:
    sent = samples()
    names = [orthanc.upload(content) for content in sent]
    for _ in range(2):
        orthanc.stow(names)
    orthanc.store(names)
    assert sorted(row["digest"] for row in rows(door)) == sorted(map(digest, sent))
    assert {row["feed"] for row in rows(door)} == {"stow"}


def test_orthanc_says_how_many_instances_a_series_has(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LOOK_SECONDS", 0.05)
    port = free_port()
    text = f'[dicom]\nquiet_seconds = {{ CT = 2 }}\n[dicom.sources.ORTHANC]\nhost = "127.0.0.1"\nport = {port}\n'
    door.feeds.folder.mkdir(parents=True)
    (door.feeds.folder / "feeds.toml").write_text(text)
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    with running_orthanc(tmp_path, dicom=feed.port, dicom_port=port) as orthanc:
        orthanc.store([orthanc.upload(content) for content in samples()])
        end = time.monotonic() + 20
        while not (case := counted(door)) and time.monotonic() < end:
            time.sleep(0.05)
        feed.stop()
    assert case[0]["facts"][EXPECTED] == case[0]["expected"] == 5


def counted(door: Door) -> list[Any]:
    return [row for row in rows(door, cases) if row["expected"]]
