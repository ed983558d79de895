"""Another implementation as the sender: DCMTK's command line tools, where they are installed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from dicom_samples import ct_slice, file_of, projection
from PIL import Image
from pydicom import dcmread
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from db.tables import case_inputs, cases, contents, events, inputs
from producers.dicom.feed import DicomFeed
from producers.door import Door

TOOLS = ("echoscu", "storescu", "dcmsend", "img2dcm")
pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in TOOLS), reason="DCMTK is not installed, so nothing was sent by it: apt-get install dcmtk"
)


@pytest.fixture
def feed(door: Door) -> Iterator[DicomFeed]:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    yield feed
    feed.stop()


def run(tool: str, feed: DicomFeed, *arguments: str | Path) -> int:
    command = [tool, "-aec", "DXSTREAM", "127.0.0.1", str(feed.port), *map(str, arguments)]
    environment = os.environ | {"TCP_NODELAY": "1"}
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False).returncode


def count(door: Door, table: sa.Table) -> int:
    with door.intake.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_echoscu_is_answered(feed: DicomFeed) -> None:
    assert run("echoscu", feed) == 0


def test_storescu_sends_an_image_and_the_ledger_has_it(feed: DicomFeed, door: Door, tmp_path: Path) -> None:
    assert run("storescu", feed, write(tmp_path, "one.dcm", file_of(projection()))) == 0
    assert (count(door, inputs), count(door, events)) == (1, 1)


def test_dcmsend_sends_a_series_and_it_is_one_case(feed: DicomFeed, door: Door, tmp_path: Path) -> None:
    series = generate_uid()
    paths = [write(tmp_path, f"{number}.dcm", file_of(ct_slice(series, number))) for number in range(20)]
    assert run("dcmsend", feed, *paths) == 0
    assert (count(door, cases), count(door, case_inputs), count(door, events)) == (1, 20, 0)


def test_dcmsend_again_after_an_interruption_changes_nothing(feed: DicomFeed, door: Door, tmp_path: Path) -> None:
    path = write(tmp_path, "one.dcm", file_of(projection()))
    assert [run("dcmsend", feed, path) for _ in range(2)] == [0, 0]
    assert (count(door, inputs), count(door, events)) == (1, 1)


def test_a_picture_that_img2dcm_wrapped_is_kept_as_the_jpeg_that_it_is(feed: DicomFeed, door: Door, tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((700, 600)).save(tmp_path / "picture.jpg", quality=95)
    keys = ["-k", "PatientID=IMG1", "-k", "StudyDate=20260302", "-k", "StudyTime=101500"]
    wrapped = tmp_path / "picture.dcm"
    subprocess.run(["img2dcm", *keys, tmp_path / "picture.jpg", wrapped], check=True, capture_output=True, timeout=60)
    assert run("dcmsend", feed, wrapped) == 0
    with door.intake.database.read() as connection:
        ((digest, data),) = connection.execute(sa.select(contents.c.digest, contents.c.data))
        assert connection.execute(sa.select(inputs.c.digest)).scalar_one() == digest
    kept = dcmread(BytesIO(data))
    assert kept.file_meta.TransferSyntaxUID == JPEGBaseline8Bit
    assert kept.PixelData == dcmread(wrapped).PixelData
