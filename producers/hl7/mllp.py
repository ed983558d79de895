"""The MLLP port: frames in, each answered in order after its commit; a temporary fault closes the connection instead.

One thread with an event loop serves every connection. Knows of a message only what ``producers.hl7.parse`` makes of it.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import traceback
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from producers.hl7 import answer as hl7_answer
from producers.door import Door
from producers.hl7.answer import Header
from producers.hl7.frames import END, MOST_BYTES, START, Frames, FrameTooLongError
from producers.hl7.parse import Taken, take_message
from stream.arrival import Receipt
from stream.content import INLINE_BYTES
from stream.errors import Refused, Temporary

log = logging.getLogger(__name__)

#: How many messages of one connection may wait for their commit.
MOST_WAITING = 256

#: After so many seconds of silence in the middle of a frame it is refused and the connection closed.
SILENCE_SECONDS = 30.0

_CHUNK_BYTES = 64 * 1024
_STOP_SECONDS = 30.0
_LINGER_SECONDS = 2.0


@dataclass(frozen=True)
class _Submitted:
    """A frame whose answer is due: already known (``answer``), or after the commit."""

    header: Header
    frame: bytes
    taken: Taken | None = None
    receipt: Future[Receipt] | None = None
    error: Refused | None = None


class MllpFeed:
    """HL7 v2 over MLLP on ``bind``:``port``; ``port`` 0 takes a free one, which ``port`` then names."""

    def __init__(
        self, door: Door, *, bind: str, port: int, most_bytes: int = MOST_BYTES, silence_seconds: float = SILENCE_SECONDS
    ) -> None:
        self.door = door
        self.bind = bind
        self.port = port
        self.most_bytes = most_bytes
        self.silence_seconds = silence_seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mllp", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Listen; raises OSError when the port cannot be had, BadSettingError for a wrong configuration of the feed."""
        self.door.feeds.feed("hl7")
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except OSError:
            self._end_loop()
            raise

    def stop(self) -> None:
        """Take no more; answer what was submitted; close."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
            self._end_loop()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.bind, self.port, limit=_CHUNK_BYTES, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            await connection.serve()
        finally:
            del self._connections[connection]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        await asyncio.sleep(0)  # connections that were just accepted begin
        tasks = list(self._connections.values())
        for connection in self._connections:
            connection.stop_reading()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Connection:
    """One sender: a task reads and submits, another answers in the same order."""

    def __init__(self, feed: MllpFeed, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._feed = feed
        self._reader = reader
        self._writer = writer
        self._frames = Frames(feed.most_bytes)
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
            async with asyncio.timeout(self._feed.silence_seconds if half_way else None):
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
        if len(frame) > INLINE_BYTES:
            return await asyncio.to_thread(self._take, frame)
        return self._take(frame)

    def _take(self, frame: bytes) -> _Submitted:
        door = self._feed.door
        try:
            taken = take_message(frame, door=door, received_at=datetime.now(UTC))
        except Refused as error:
            return self._refused(frame, error)
        except Temporary as error:
            receipt: Future[Receipt] = Future()
            receipt.set_exception(error)
            return _Submitted(hl7_answer.read_header(frame), frame, receipt=receipt)
        except Exception as error:  # noqa: BLE001 - the loop's outer edge: a message that we cannot read must not block its channel
            log.error("a message cannot be read: feed=hl7 error=%s at=%s", type(error).__name__, _place(error))  # noqa: TRY400 - no content
            return self._refused(frame, Refused("it cannot be read"))
        return _Submitted(hl7_answer.read_header(frame), frame, taken, door.intake.submit(taken.arrival))

    def _refused(self, frame: bytes, error: Refused) -> _Submitted:
        self._feed.door.intake.refused("hl7", error.reason)
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
        error = submitted.error
        if submitted.receipt:
            try:
                await asyncio.shield(asyncio.wrap_future(submitted.receipt))  # what was submitted is never cancelled
            except Refused as refusal:
                error = refusal
        if error:
            return hl7_answer.refused(submitted.header, submitted.frame, error)
        assert submitted.taken is not None
        taken = submitted.taken
        return hl7_answer.accepted(submitted.header, submitted.frame, note=taken.arrival.not_used, points=taken.refused)


def _place(error: Exception) -> str:
    """File and line of an error; its own words may quote what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
