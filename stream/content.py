"""Bytes named by their sha256: small ones travel as a row of the same commit, large ones are files.

A file is written aside, fsynced, renamed and its folder fsynced, so that a name never stands for half a content.
"""

import errno
import hashlib
import os
import shutil
import uuid
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stream.disk import sync_folder, write_durably
from stream.errors import Broken, NotReadableError, OutOfSpace, Temporary

#: Content up to this many bytes is a row of the ledger; larger content is a file.
INLINE_BYTES = 64 * 1024

#: Below this much free space on the store's disk nothing more is accepted, in bytes.
FREE_BYTES_WATERMARK = 256 * 1024 * 1024

#: Bytes that take longer to their file are not waited for, in seconds.
SAVE_SECONDS = 10.0

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
#: What is said where there is a disk and we cannot write to it.
_NOT_OURS = _NO_SPACE | {errno.EACCES, errno.EPERM}


@dataclass(frozen=True, kw_only=True)
class Content:
    """``data`` is None when the bytes are a file of the store.

    ``on_its_way``: they may not have come there yet. ``saved``: when they have; only in the process that brings them there.
    """

    digest: str
    size: int
    data: bytes | None
    on_its_way: bool = field(default=False, compare=False, repr=False)
    saved: "Future[None] | None" = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """What another process may know of it."""
        return {**vars(self), "saved": None}

    @property
    def failed(self) -> bool:
        """Whether the bytes could not be made durable."""
        return self.saved is not None and self.saved.done() and self.saved.exception() is not None

    def wait(self) -> None:
        """Until the bytes are durable, or will be by the ledger's own commit; raises what kept them from it."""
        if self.saved is not None:
            try:
                self.saved.result(SAVE_SECONDS)
            except TimeoutError as error:
                raise Temporary("the content store is too slow") from error


class ContentStore:
    """The folder of large contents. Safe to use from many threads and processes at once."""

    def __init__(self, folder: Path, *, watermark: int = FREE_BYTES_WATERMARK) -> None:
        self.folder = folder
        self.watermark = watermark
        self._made = False  # whether all folders are known to be there

    def put(self, data: bytes) -> Content:
        """Make ``data`` durable; raises OutOfSpace or Temporary, never leaves half a file under a final name."""
        content = self.begin(data)
        self.save(content, data)
        content.wait()
        return Content(digest=content.digest, size=content.size, data=content.data)

    def begin(self, data: bytes) -> Content:
        """Name ``data``; nothing is durable before ``save``, which may go on while the ledger's commit is prepared."""
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= INLINE_BYTES:
            return Content(digest=digest, size=len(data), data=data)
        return Content(digest=digest, size=len(data), data=None, on_its_way=True, saved=Future())

    def save(self, content: Content, data: bytes) -> None:
        """Make what ``begin`` named durable; whether that went well is what ``content.wait`` tells."""
        if content.saved is None:
            return
        path = self.path(content.digest)
        try:
            if path.exists():
                os.utime(path)  # young again: only content untouched for a day may be deleted
                sync_folder(path.parent)  # another thread may have given it its name a moment ago
            else:
                self._write(path, data)
        except OSError as error:
            content.saved.set_exception(_unwritable(error))
        except Temporary as error:
            content.saved.set_exception(error)
        else:
            content.saved.set_result(None)

    def get(self, digest: str) -> bytes:
        """The bytes of a file; raises Broken if they are gone, NotReadableError if they alone cannot be read, else Temporary."""
        try:
            with open(self._name(digest), "rb", buffering=0) as file:  # noqa: PTH123 - a path of pathlib costs more than the call
                return file.read()
        except FileNotFoundError as error:
            if self._is_missing():
                raise Temporary("the content store is not there") from error
            raise Broken("its content is gone from the store") from error
        except OSError as error:
            if self.answers():
                raise NotReadableError(f"its file in the content store cannot be read ({error.strerror})") from error
            raise Temporary(f"the content store cannot be read ({error.strerror})") from error

    def holds(self, digest: str) -> bool:
        """Whether it is a file of this store; raises Temporary without the disk."""
        try:
            return self.path(digest).exists()
        except OSError as error:
            raise Temporary(f"the content store cannot be read ({error.strerror})") from error

    def _is_missing(self) -> bool:
        """Whether the folder is not there or has nothing in it, as where its disk is not mounted: a store has its folders."""
        try:
            with os.scandir(self.folder) as found:
                return next(found, None) is None
        except OSError:
            return True

    def answers(self) -> bool:
        """Whether a new file can be written there and read again; where we cannot write, whether the folder can be listed."""
        aside = self.folder / f".{uuid.uuid4().hex}"
        try:
            write_durably(aside, b"?")
            return aside.read_bytes() == b"?"
        except OSError as error:
            return error.errno in _NOT_OURS and not self._is_missing()
        finally:
            with suppress(OSError):
                aside.unlink(missing_ok=True)

    def hurry(self, digest: str) -> None:
        """Have the disk bring a file into memory, without waiting for it: it was written past the page cache."""
        with suppress(OSError):  # whoever reads it hears why
            descriptor = os.open(self._name(digest), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(descriptor)

    def path(self, digest: str) -> Path:
        """Where the content of this digest lies. 256 folders: with more, most files would need a new one and its fsyncs."""
        return Path(self._name(digest))

    def _name(self, digest: str) -> str:
        return f"{self.folder}/{digest[:2]}/{digest}"

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
            if not self._made:
                self.make()
            aside = path.with_name(f".{uuid.uuid4().hex}")
            try:
                write_durably(aside, data)
                aside.replace(path)
            except OSError:
                aside.unlink(missing_ok=True)
                self._made = False  # its folder may have been taken away
                raise
            sync_folder(path.parent)
        except OSError as error:
            raise _unwritable(error) from error

    def make(self) -> None:
        """All folders at once, and durably: otherwise each of the first images of a store would wait for a folder's own fsyncs.

        A store without them looks like one whose disk is not mounted. Raises OutOfSpace or Temporary.
        """
        try:
            self._make_folders()
        except OSError as error:
            raise _unwritable(error) from error
        self._made = True

    def _make_folders(self) -> None:
        above = []
        folder = self.folder
        while not folder.exists():
            above.append(folder.parent)
            folder = folder.parent
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in range(256):
            (self.folder / f"{number:02x}").mkdir(exist_ok=True)
        for folder in (self.folder, *above):
            sync_folder(folder)


def _unwritable(error: OSError) -> Temporary:
    kind = OutOfSpace if error.errno in _NO_SPACE else Temporary
    return kind(f"the content store cannot be written ({error.strerror})")
