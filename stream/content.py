"""Bytes named by their sha256: small ones travel as a row of the same commit, large ones are files.

A file is written aside, fsynced, renamed and its folder fsynced, so that a name never stands for half a content.
"""

import errno
import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from stream.errors import Broken, OutOfSpace, Temporary

#: Content up to this many bytes is a row of the ledger; larger content is a file.
INLINE_BYTES = 64 * 1024

#: Below this much free space on the store's disk nothing more is accepted, in bytes.
FREE_BYTES_WATERMARK = 256 * 1024 * 1024

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


@dataclass(frozen=True, kw_only=True)
class Content:
    """``data`` is None when the bytes are a file of the store."""

    digest: str
    size: int
    data: bytes | None


class ContentStore:
    """The folder of large contents. Safe to use from many threads and processes at once."""

    def __init__(self, folder: Path, *, watermark: int = FREE_BYTES_WATERMARK) -> None:
        self.folder = folder
        self.watermark = watermark

    def put(self, data: bytes) -> Content:
        """Make ``data`` durable; raises OutOfSpace or Temporary, never leaves half a file under a final name."""
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= INLINE_BYTES:
            return Content(digest=digest, size=len(data), data=data)
        path = self.path(digest)
        if path.exists():
            os.utime(path)  # young again: only content untouched for a day may be deleted
        else:
            self._write(path, data)
        return Content(digest=digest, size=len(data), data=None)

    def get(self, digest: str) -> bytes:
        """The bytes of a file; raises Broken if they are gone."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise Broken("its content is gone from the store") from error
        except OSError as error:
            raise Temporary(f"the content store cannot be read ({error.strerror})") from error

    def path(self, digest: str) -> Path:
        """Where the content of this digest lies; two levels of folders keep each one small."""
        return self.folder / digest[:2] / digest[2:4] / digest

    def check_space(self, size: int = 0) -> None:
        """Raises OutOfSpace when ``size`` more bytes would bring the disk under its watermark, Temporary without a disk."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise _unwritable(error) from error
        if free - size < self.watermark:
            raise OutOfSpace("the content store is below its watermark of free space")

    def _write(self, path: Path, data: bytes) -> None:
        try:
            self.check_space(len(data))
            self._make_folder(path.parent)
            aside = path.with_name(f".{uuid.uuid4().hex}")
            try:
                _write_durably(aside, data)
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)
            _sync_folder(path.parent)
        except OSError as error:
            raise _unwritable(error) from error

    def _make_folder(self, folder: Path) -> None:
        """Durably: the entry of each new folder in the one above it is synced too."""
        if folder.exists():
            return
        if folder != self.folder:
            self._make_folder(folder.parent)
        folder.mkdir(parents=folder == self.folder, exist_ok=True)
        _sync_folder(folder.parent)


def _unwritable(error: OSError) -> Temporary:
    kind = OutOfSpace if error.errno in _NO_SPACE else Temporary
    return kind(f"the content store cannot be written ({error.strerror})")


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
