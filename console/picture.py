"""Images for the page: decoded in a bounded process of their own, kept for a while, and drawn as PNG under a window."""

import json
import struct
import subprocess
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.errors import DxstreamError
from stream.modules import module_command

#: A decoding that takes longer is ended, in seconds; decodings at once; pictures that are kept (2 MiB each at the most).
DECODE_SECONDS = 30
AT_ONCE = 2
KEPT = 8


class NoPicture(DxstreamError):
    """It cannot be shown; the reason in words."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """``samples``: 16 bits little-endian, row by row; 0 is ``low``, 65535 is ``high`` in the image's own units."""

    rows: int
    columns: int
    frames: int
    low: float
    high: float
    centre: float
    width: float
    inverted: bool
    padded: bool
    modality: str
    samples: bytes

    def png(self, centre: float | None = None, width: float | None = None) -> bytes:
        """An 8-bit picture under a window, the header's own unless told otherwise."""
        middle, across = self.centre if centre is None else centre, max(self.width if width is None else width, 1e-6)
        values = np.frombuffer(self.samples, "<u2").reshape(self.rows, self.columns)
        table = self.low + np.arange(65536) * ((self.high - self.low) / 65535)
        grey = np.rint(np.clip((table - middle) / across + 0.5, 0.0, 1.0) * 255).astype(np.uint8)
        return png_of((255 - grey if self.inverted else grey)[values])


def png_of(grey: "np.ndarray[Any, np.dtype[np.uint8]]") -> bytes:
    """(rows, columns) greys as a PNG."""
    rows, columns = grey.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), grey], axis=1).tobytes()  # filter 0 before each row
    head = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(lines, 6)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


class Pictures:
    """Decodes and remembers. Safe to use from many threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], Picture] = OrderedDict()
        self._lock = threading.Lock()
        self._room = threading.Semaphore(AT_ONCE)

    def get(self, digest: str, frame: int, content: bytes) -> Picture:
        """The picture of one content; raises NoPicture."""
        key = (digest, frame)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._room:
            picture = decoded(content, frame)
        with self._lock:
            self._kept[key] = picture
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return picture


def decoded(content: bytes, frame: int) -> Picture:
    """Decode in a process of its own; raises NoPicture when that says so, dies or takes too long."""
    command = module_command("console.decode", str(frame))
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=DECODE_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise NoPicture("it took too long to decode") from None
    head, _, samples = done.stdout.partition(b"\n")
    if done.returncode or not head:
        raise NoPicture("decoding it passed its bounds of memory or time")
    told = json.loads(head)
    if "reason" in told:
        raise NoPicture(told["reason"])
    return Picture(**told, samples=samples)
