"""A disk that is full, and one that cannot be written: a tmpfs of the test's own, which needs root."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crew import until
from faults import Stage
from faults_stores import nobody_is_told_yes

from dxstream.hospital.cases import DICOM, FHIR, HL7

#: More than the watermark of free space by what the rounds need.
SIZE = "420m"
#: How much is left: below the watermark, and nothing at all.
LEFT = (100 * 2**20, 0)
#: How each protocol says that there is no room.
WORDS = ((DICOM, "out of resources"), (HL7, "closed without an acknowledgement"), (FHIR, "HTTP 507"), ("stow", "HTTP 507"))


def can_mount() -> bool:
    return os.geteuid() == 0 and subprocess.run(["mount", "--version"], check=False, capture_output=True).returncode == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of SIZE with a folder ``content`` in it that can be made read-only by itself."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
    content = folder / "content"
    content.mkdir()
    subprocess.run(["mount", "--bind", content, content], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", content], check=True)
        subprocess.run(["umount", folder], check=True)


def fill(stage: Stage, left: int) -> float:
    """Fill the disk for some seconds: every protocol says so in its own words; until every protocol is answered again."""
    place = stage.one.home
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    before = dict(stage.traffic.refusals)
    filler = place / "filler"
    with filler.open("wb") as file:
        _fill(file.fileno(), free - left)
    nobody_is_told_yes(stage, 3.0)
    filler.unlink()
    for key in WORDS:
        if stage.traffic.refusals[key] <= before.get(key, 0):
            stage.complain(f"a full disk: {key[0]} was not told {key[1]!r}")
    return _answered_everywhere(stage)


def _fill(descriptor: int, size: int) -> None:
    """As much as there is room for."""
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError:
        block = bytes(64 * 1024)
        try:
            while True:
                os.write(descriptor, block)
        except OSError:
            return


def make_read_only(stage: Stage) -> float:
    """The store of large contents cannot be written for some seconds; what is small goes into the database and is taken."""
    content = stage.one.home / "content"
    before = stage.traffic.refusals[DICOM, "out of resources"]
    _remount(content, "ro")
    until(lambda: stage.traffic.refusals[DICOM, "out of resources"] > before, "an image is refused")
    time.sleep(1.0)
    _remount(content, "rw")
    return _answered_everywhere(stage)


def _remount(content: Path, how: str) -> None:
    """It is busy while a file is being written."""
    command = ["mount", "-o", f"remount,bind,{how}", content]
    until(lambda: subprocess.run(command, check=False, capture_output=True).returncode == 0, f"the disk is {how}")


def _answered_everywhere(stage: Stage) -> float:
    began, before = time.monotonic(), dict(stage.traffic.acks)
    until(lambda: all(stage.traffic.acks[protocol] > before.get(protocol, 0) for protocol, _ in WORDS), "all are answered again")
    stage.flows()
    return time.monotonic() - began
