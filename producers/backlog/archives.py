"""ZIP and tar archives: which members they have, and the bytes of one. Nothing is ever unpacked to disk, so no name leads astray.

Bounded: a member's size, how many there are, and how much larger the whole is than the archive.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from stream.errors import Refused

#: A larger member is refused, in bytes.
LARGEST = 2**30
#: An archive with more members is refused: a ZIP's directory is held in memory.
MOST_MEMBERS = 1_000_000
#: An archive may become so many times larger than it is, beyond ALWAYS bytes.
MOST_TIMES = 200
ALWAYS = 2**30
#: Headers of a tar that are longer than this are no headers, in bytes.
_LONGEST_READ = 16 * 2**20

_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_OPENERS: dict[str, Any] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
#: What damaged archives raise.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, UnicodeError, ValueError)


class BeyondBoundsError(Refused):
    """It is no archive that anybody wants to unpack: none of its members is taken."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """``name``: its number in the archive, a colon and its path, since one path may stand twice. ``reason``: why it is not read."""

    name: str
    size: int
    reason: str = ""


def is_archive(name: str) -> bool:
    """By the file's name."""
    return name.lower().endswith((".zip", *_TARS))


def is_tar(name: str) -> bool:
    """Whether its members can only be read one after the other."""
    return name.lower().endswith(_TARS)


def list_members(path: Path) -> Iterator[Member]:
    """The members that are files, hidden ones aside; raises Refused when it is damaged or out of bounds, OSError."""
    room = max(ALWAYS, MOST_TIMES * path.stat().st_size)
    try:
        for member in _tar_members(path) if is_tar(path.name) else _zip_members(path):
            room -= member.size
            if room < 0:
                raise BeyondBoundsError(f"the archive becomes more than {MOST_TIMES} times as large")
            if not _hidden(member.name):
                yield member
    except (*_DAMAGED, OSError) as error:
        raise _told(error, "the archive is damaged") from error


def _told(error: Exception, reason: str) -> Exception:
    """An error of the disk has a number, and stays; those of the unpackers have none."""
    return error if isinstance(error, OSError) and error.errno is not None else Refused(reason)


def _hidden(name: str) -> bool:
    path = PurePosixPath(name.partition(":")[2])
    return path.name.startswith(".") or "__MACOSX" in path.parts


def _zip_members(path: Path) -> Iterator[Member]:
    with _open_zip(path) as archive:
        for number, info in enumerate(archive.infolist(), 1):
            if not info.is_dir():
                yield Member(name=f"{number}:{info.filename}", size=info.file_size, reason=_zip_fault(info))


def _zip_fault(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "the member is encrypted"
    return "the member is too large" if info.file_size > LARGEST else ""


def _tar_members(path: Path) -> Iterator[Member]:
    with _open_tar(path) as archive:
        for number, info in _infos(archive):
            if not info.isdir():
                fault = "" if info.isreg() else "a link or a device in an archive is not followed"
                yield Member(name=f"{number}:{info.name}", size=info.size, reason=fault or _too_large(info.size))


def _too_large(size: int) -> str:
    return "the member is too large" if size > LARGEST else ""


def _infos(archive: tarfile.TarFile) -> Iterator[tuple[int, tarfile.TarInfo]]:
    """Numbered from 1; the library would keep them all."""
    number = 0
    while (info := archive.next()) is not None:
        number += 1
        if number > MOST_MEMBERS:
            raise BeyondBoundsError(f"the archive has more than {MOST_MEMBERS} members")
        yield number, info
        archive.members.clear()  # type: ignore[attr-defined] # which typeshed leaves out


class ArchiveReader:
    """Keeps one archive open, since neighbours in the manifest are neighbours in it; and the last member, read in steps."""

    def __init__(self) -> None:
        self._path = ""
        self._archive: zipfile.ZipFile | tarfile.TarFile | None = None
        self._infos: Iterator[tuple[int, tarfile.TarInfo]] = iter(())
        self._at = 0
        self._last: tuple[str, str, bytes] = ("", "", b"")

    def read(self, path: str, name: str) -> bytes:
        """The bytes of a member; raises Refused, OSError."""
        if self._last[:2] != (path, name):
            number = int(name.partition(":")[0])
            self._last = ("", "", b"")
            try:
                content = self._read_tar(path, number) if is_tar(path) else self._read_zip(path, number)
            except (*_DAMAGED, OSError, RuntimeError, NotImplementedError, IndexError) as error:
                self.close()
                raise _told(error, "the member cannot be unpacked") from error
            self._last = (path, name, content)
        return self._last[2]

    def close(self) -> None:
        """Give the open archive back."""
        if self._archive is not None:
            self._archive.close()
        self._path, self._archive, self._at = "", None, 0

    def _read_zip(self, path: str, number: int) -> bytes:
        if self._path != path:
            self.close()
            self._archive, self._path = _open_zip(Path(path)), path
        assert isinstance(self._archive, zipfile.ZipFile)
        with self._archive.open(self._archive.infolist()[number - 1]) as file:
            return _read_bounded(file)

    def _read_tar(self, path: str, number: int) -> bytes:
        """Forward to the member; one that was passed already needs a new start."""
        if self._path != path or self._at >= number:
            self.close()
            archive = _open_tar(Path(path))
            self._archive, self._path, self._infos = archive, path, _infos(archive)
        assert isinstance(self._archive, tarfile.TarFile)
        for at, info in self._infos:
            self._at = at
            if at == number:
                file = self._archive.extractfile(info)
                return _read_bounded(file) if file else b""
        raise Refused("the member is no longer in the archive")


def _read_bounded(file: IO[bytes]) -> bytes:
    """Whatever its header claims."""
    pieces, size = [], 0
    while piece := file.read(2**20):
        size += len(piece)
        if size > LARGEST:
            raise Refused("the member is too large")
        pieces.append(piece)
    return b"".join(pieces)


def _open_zip(path: Path) -> zipfile.ZipFile:
    with path.open("rb") as file:
        if _count_entries(file) > MOST_MEMBERS:
            raise BeyondBoundsError(f"the archive has more than {MOST_MEMBERS} members")
    return zipfile.ZipFile(path)


def _count_entries(file: IO[bytes]) -> int:
    """What the end of the central directory states (APPNOTE 4.3.14, 4.3.16), before all of it is read."""
    file.seek(0, 2)
    start = max(0, file.tell() - 65_557 - 76)
    file.seek(start)
    tail = file.read()
    large = tail.rfind(b"PK\x06\x06")
    if large >= 0 and len(tail) >= large + 40:
        return int(struct.unpack_from("<Q", tail, large + 32)[0])
    end = tail.rfind(b"PK\x05\x06")
    return int(struct.unpack_from("<H", tail, end + 10)[0]) if end >= 0 and len(tail) >= end + 12 else 0


def _open_tar(path: Path) -> tarfile.TarFile:
    """Each kind of compression by its first bytes, and no read of a header longer than one can be."""
    with path.open("rb") as file:
        start = file.read(6)
    kind = "gz" if start[:2] == b"\x1f\x8b" else "bz2" if start[:3] == b"BZh" else "xz" if start == b"\xfd7zXZ\x00" else ""
    opened = _OPENERS[kind](path, "rb") if kind else path.open("rb")
    bounded = _Bounded(opened)
    try:
        return _Tar(fileobj=bounded, mode="r", ignore_zeros=False)  # type: ignore[arg-type] # it reads, seeks and tells
    except BaseException:
        opened.close()
        raise


class _Tar(tarfile.TarFile):
    """Closes what it reads from."""

    def close(self) -> None:
        super().close()
        if self.fileobj is not None:
            self.fileobj.close()


class _Bounded:
    """A file of which nothing asks for more at once than a header may have."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.name = ""
        self.mode = "rb"

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_READ:
            raise tarfile.ReadError("a header that is too long")
        return self._file.read(size)

    def seek(self, position: int) -> int:
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
