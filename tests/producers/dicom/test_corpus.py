"""Real DICOM files, many of them odd or broken on purpose: each ends in an arrival or in a refusal with a reason, quickly."""

import os
import resource
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dicom_samples import DX, send_bytes

from db.tables import inputs
from producers.dicom.feed import DicomFeed
from producers.dicom.file import read_file, write_file
from producers.dicom.header import ask_for, parse_header
from producers.door import Door
from producers.folder.feed import FolderFeed
from stream.errors import Refused
from stream.feeds import FeedConfig

FEEDS = os.environ.get("DXSTREAM_TEST_FEEDS", "")
#: Nothing in this folder is larger than 4 MiB; a second is a machine that does much else, in seconds.
LONGEST = 1.0
MEBIBYTES = 256

pytestmark = pytest.mark.skipif(
    not FEEDS, reason="no real DICOM file was tried: set DXSTREAM_TEST_FEEDS to a folder that holds INDEX.csv and dicom/"
)


def peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def files() -> list[Path]:
    return [path for path in sorted((Path(FEEDS) / "dicom").rglob("*")) if path.is_file()]


def fate(content: bytes) -> str:
    try:
        instance = read_file(content)
        header = parse_header(instance)
        write_file(instance, sop_class=header.sop_class, sop_instance=header.sop_instance)
        ask = ask_for(header, config=FeedConfig(name="dicom"), received_at=datetime.now(UTC))
    except Refused as refusal:
        return "refused" if refusal.reason else "refused without a reason"
    return type(ask).__name__


def test_every_file_ends_in_an_arrival_or_a_refusal_and_none_takes_long() -> None:
    before, fates = peak_mebibytes(), Counter[str]()
    for path in files():
        content = path.read_bytes()
        began = time.monotonic()
        fates[fate(content)] += 1
        assert time.monotonic() - began < LONGEST, path.name
    assert peak_mebibytes() - before < MEBIBYTES
    assert set(fates) == {"JudgeNow", "JoinSeries", "refused"}
    assert fates["JudgeNow"] > 50
    assert fates["JoinSeries"] > 10


def test_every_file_cut_in_half_ends_in_an_arrival_or_a_refusal() -> None:
    fates = Counter(fate(content[: len(content) // 2]) for content in (path.read_bytes() for path in files()))
    assert fates["refused"] > 0.9 * len(files())


def test_every_file_gets_an_answer_over_the_network_and_what_is_accepted_is_an_input(door: Door) -> None:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    answers = Counter(answered(feed.port, path.read_bytes()) for path in files())
    feed.stop()
    assert set(answers) <= {"0000", "A900", "C000", "no such context", "no DICOM file"}
    assert answers["0000"] > 80
    assert 0 < len(rows(door)) <= answers["0000"]


def answered(port: int, content: bytes) -> str:
    """The status that a sender gets who announces what stands in the file."""
    try:
        instance = read_file(content)
        announced = parse_header(instance)
        names = {"sop_class": announced.sop_class, "sop_instance": announced.sop_instance}
    except Refused:
        if content[128:132] != b"DICM":
            return "no DICOM file"
        names = {"sop_class": DX, "sop_instance": "1.2.3"}
    answer = send_bytes(port, instance.dataset, syntax=instance.transfer_syntax, **names)
    return f"{answer.Status:04X}" if answer else "no such context"


def test_every_file_in_the_inbox_ends_in_done_or_refused(door: Door, tmp_path: Path) -> None:
    feed = FolderFeed(door, inbox=tmp_path / "inbox", parsers={})
    feed.inbox.make()
    for number, path in enumerate(files()):
        (tmp_path / "inbox" / f"{number}.dcm").write_bytes(path.read_bytes())
    feed.look()
    feed.look()
    done, refused = (sorted((tmp_path / "inbox" / corner).glob("*.dcm")) for corner in ("done", "refused"))
    assert len(done) + len(refused) == len(files())
    assert all(path.with_name(f"{path.name}.reason").read_text().strip() for path in refused)
    assert 0 < len(rows(door)) <= len(done)


def rows(door: Door) -> list[Any]:
    with door.intake.database.read() as connection:
        return list(connection.execute(sa.select(inputs)).mappings())
