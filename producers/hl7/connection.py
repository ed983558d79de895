"""One sender's connection: a task reads, parses and submits; another answers in the same order, each after its commit."""

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

from producers.door import Door
from producers.hl7 import answer as hl7_answer
from producers.hl7.answer import Header
from producers.hl7.frames import END, MOST_BYTES, START, Frames, FrameTooLongError
from producers.hl7.group import Group
from producers.hl7.parse import NOT_ALLOWED, parse_message
from producers.unexpected import refused_if_unexpected
from stream.arrival import Arrival, Receipt
from stream.content import INLINE_BYTES
from stream.errors import Refused, Temporary, Unwritable

log = logging.getLogger(__name__)

#: How many messages of one connection may wait for their commit.
MOST_WAITING = 256

#: After so many seconds of silence in the middle of a frame it is refused and the connection closed.
SILENCE_SECONDS = 30.0

_CHUNK_BYTES = 64 * 1024
_LINGER_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``most_bytes``: of one frame. ``silence_seconds``: in the middle of one."""

    most_bytes: int = MOST_BYTES
    silence_seconds: float = SILENCE_SECONDS


@dataclass(frozen=True)
class _Submitted:
    """A frame whose answer is due: already known (``answer``), or after the commit."""

    header: Header
    frame: bytes
    arrival: Arrival | None = None
    receipt: asyncio.Future[Receipt] | None = None
    error: Refused | Temporary | None = None


class Connection:
    """Serves one sender until either side closes."""

    def __init__(
        self, door: Door, group: Group, limits: Limits, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._door = door
        self._group = group
        self._silence_seconds = limits.silence_seconds
        self._reader = reader
        self._writer = writer
        self._frames = Frames(limits.most_bytes)
        self._due: asyncio.Queue[_Submitted | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(MOST_WAITING)
        self._reading: asyncio.Task[None] | None = None

    def stop_reading(self) -> None:
        """Answer what was submitted, then close."""
        if self._reading:
            self._reading.cancel()

    async def serve(self) -> None:
        """Until the sender closes, a fault closes it, or the feed stops."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a sender may vanish
        self._reading = asyncio.create_task(self._read())
        answering = asyncio.create_task(self._answer_all())
        try:
            await asyncio.wait({self._reading, answering}, return_when=asyncio.FIRST_COMPLETED)
            self._due.put_nowait(None)
            await answering
        except (Temporary, OSError) as error:
            log.warning("connection closed without an answer: feed=hl7 error=%s", type(error).__name__)
        finally:
            self._reading.cancel()
            answering.cancel()
            await asyncio.gather(self._reading, answering, return_exceptions=True)
            await self._hang_up()

    async def _hang_up(self) -> None:
        """Flush the answers that were written; a sender that does not read them is cut off."""
        self._writer.close()
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                await self._writer.wait_closed()
        except OSError:
            self._writer.transport.abort()

    async def _read(self) -> None:
        """Until the sender closes or breaks the framing; then what is left is refused."""
        try:
            while chunk := await self._chunk():
                for frame in self._frames.feed(chunk):
                    await self._room.acquire()
                    self._due.put_nowait(await self._submit(frame))
        except FrameTooLongError:
            self._refuse_rest("a frame longer than the limit")
            await self._discard()
        except OSError:
            return
        else:
            if self._frames.unfinished:
                self._refuse_rest("a frame without an end")
            elif self._frames.astray:
                self._refuse_rest("bytes outside a frame")

    async def _chunk(self) -> bytes:
        """Some bytes; none when the sender has closed, or is silent within a frame."""
        half_way = self._frames.unfinished or self._frames.astray
        try:
            async with asyncio.timeout(self._silence_seconds if half_way else None):
                return await self._reader.read(_CHUNK_BYTES)
        except TimeoutError:
            return b""

    async def _discard(self) -> None:
        """Let the sender finish for a while: closing over unread bytes would take the answer away from it."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_LINGER_SECONDS):
                while await self._reader.read(_CHUNK_BYTES):
                    pass

    def _refuse_rest(self, reason: str) -> None:
        self._due.put_nowait(self._refused(self._frames.rest(), Refused(reason)))

    async def _submit(self, frame: bytes) -> _Submitted:
        """Large contents are made durable on a thread of their own, so that other connections go on."""
        taken = await asyncio.to_thread(self._take, frame) if len(frame) > INLINE_BYTES else self._take(frame)
        if isinstance(taken, Refused):
            return self._refused(frame, taken)
        header = hl7_answer.read_header(frame)
        if isinstance(taken, Temporary):
            return _Submitted(header, frame, error=taken)
        return _Submitted(header, frame, taken, self._group.submit(taken))

    def _take(self, frame: bytes) -> Arrival | Refused | Temporary:
        try:
            self._door.store.check_space(len(frame))
            with refused_if_unexpected("hl7"):
                return parse_message(frame, door=self._door, received_at=datetime.now(UTC))
        except (Refused, Temporary) as error:
            return error

    def _refused(self, frame: bytes, error: Refused) -> _Submitted:
        kept = b"" if error.reason == NOT_ALLOWED else frame  # no stranger fills the ledger
        self._door.intake.refused("hl7", error.reason, content=kept, place=error.where)
        log.info("refused: feed=hl7 reason=%s where=%s", error.reason, error.where)
        return _Submitted(hl7_answer.read_header(frame), frame, error=error)

    async def _answer_all(self) -> None:
        """Raises Temporary when the ledger could not take a message: it and all behind it go without an answer."""
        while (submitted := await self._due.get()) is not None:
            answer = await self._answer(submitted)
            self._writer.write(START + answer + END)
            await self._writer.drain()
            self._room.release()

    async def _answer(self, submitted: _Submitted) -> bytes:
        if isinstance(submitted.error, Temporary):
            raise submitted.error
        if submitted.error:
            return hl7_answer.refused(submitted.header, submitted.frame, submitted.error)
        assert submitted.arrival is not None
        assert submitted.receipt is not None
        try:
            receipt = await submitted.receipt
        except Unwritable as refusal:
            self._door.intake.keep_unwritable("hl7", refusal, submitted.frame)
            return hl7_answer.refused(submitted.header, submitted.frame, refusal)
        note = receipt.reason if receipt.disposition == "not_used" and not receipt.refused else ""
        return hl7_answer.accepted(submitted.header, submitted.frame, note=note, points=receipt.told(submitted.arrival))
