"""MLLP framing: any bytes in, in any pieces; whole frames out. Knows no socket and no HL7, but for the word MSH."""

START = b"\x0b"
END = b"\x1c\x0d"

#: No frame may be longer, in bytes.
MOST_BYTES = 16 * 1024 * 1024

_NEW_START = START + b"MSH"


class FrameTooLongError(Exception):
    """A frame passed the limit before it ended; nothing more can be read from this stream."""


class Frames:
    """The frames of one stream of bytes. Bytes between frames are dropped.

    ``astray``: something other than line ends stood outside of any frame since the last one.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.astray = False
        self._held = bytearray()
        self._inside = False
        self._searched = 0  # no end begins before this place

    @property
    def unfinished(self) -> bool:
        """A frame has begun and not ended."""
        return self._inside

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that ``chunk`` completes, without their marks; raises FrameTooLongError."""
        self._held += chunk
        frames: list[bytes] = []
        while self._begin() and (frame := self._finish()) is not None:
            frames.append(frame)
        if len(self._held) > self.most_bytes:
            raise FrameTooLongError
        return frames

    def rest(self) -> bytes:
        """What has come of an unfinished frame."""
        return bytes(self._held)

    def _begin(self) -> bool:
        if not self._inside:
            start = self._held.find(START)
            between = self._held if start < 0 else self._held[:start]
            self.astray = self.astray or bool(between.strip())
            del self._held[: len(between) + (start >= 0)]
            self._inside = start >= 0
            self._searched = 0
        return self._inside

    def _finish(self) -> bytes | None:
        end = self._held.find(END, self._searched)
        if end < 0:
            self._searched = max(0, len(self._held) - 1)
            return None
        frame = bytes(self._held[:end])
        del self._held[: end + len(END)]
        self._inside = self.astray = False
        # A start with MSH inside a frame: its sender gave the first one up, and nobody waits for its answer.
        return frame[frame.rfind(_NEW_START) + 1 :]
