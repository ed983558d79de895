"""A new file, written durably, past the page cache where the file system allows that.

Filling the cache with pages that nobody may read for a while takes more CPU time than all else that is done for an image
(docs/decisions/0008-c-store-speed.md).
"""

import errno
import mmap
import os
import threading
from pathlib import Path

#: What direct writes are aligned to, in bytes: a multiple of any disk's block.
BLOCK = 4096
#: A direct write's most bytes: the size of each thread's own buffer.
CHUNK = 2**20

_FRESH = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
_own = threading.local()


def write_durably(path: Path, content: bytes) -> None:
    """Make a new file and fsync it; raises OSError, and then there may be a part of it."""
    try:
        _write(path, content, direct=True)
    except OSError as error:
        if error.errno != errno.EINVAL:  # this file system has no direct writes, or wants larger blocks
            raise
        path.unlink(missing_ok=True)
        _write(path, content, direct=False)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, *, direct: bool) -> None:
    descriptor = os.open(path, _FRESH | (os.O_DIRECT if direct else 0), 0o666)
    try:
        if direct:
            _write_blocks(descriptor, memoryview(content))
        else:
            _write_all(descriptor, memoryview(content))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_blocks(descriptor: int, content: memoryview) -> None:
    """Whole blocks from aligned memory, then the file is cut to its length."""
    buffer = _buffer()
    for start in range(0, len(content), CHUNK):
        piece = content[start : start + CHUNK]
        buffer[: len(piece)] = piece
        _write_all(descriptor, memoryview(buffer)[: -(-len(piece) // BLOCK) * BLOCK])
    if len(content) % BLOCK:
        os.ftruncate(descriptor, len(content))


def _write_all(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _buffer() -> mmap.mmap:
    """This thread's own; memory maps begin at a page."""
    if not hasattr(_own, "buffer"):
        _own.buffer = mmap.mmap(-1, CHUNK)
    buffer: mmap.mmap = _own.buffer
    return buffer
