"""The MLLP port: frames in, each answered in order after its commit; a temporary fault closes the connection instead.

One thread with an event loop serves every connection. Knows of a message only what ``producers.hl7.parse`` makes of it.
"""

import asyncio
import logging
import threading

from producers.door import Door
from producers.hl7.connection import SILENCE_SECONDS, Connection, Limits
from producers.hl7.frames import MOST_BYTES
from producers.hl7.group import Group

log = logging.getLogger(__name__)

#: A connection beyond so many is closed at once, as in a temporary fault.
MOST_CONNECTIONS = 512

_BUFFER_BYTES = 64 * 1024
_STOP_SECONDS = 30.0


class MllpFeed:
    """HL7 v2 over MLLP on ``bind``:``port``; ``port`` 0 takes a free one, which ``port`` then names."""

    def __init__(
        self,
        door: Door,
        *,
        bind: str,
        port: int,
        most_bytes: int = MOST_BYTES,
        silence_seconds: float = SILENCE_SECONDS,
        most_connections: int = MOST_CONNECTIONS,
    ) -> None:
        self.door = door
        self.bind = bind
        self.port = port
        self.limits = Limits(most_bytes=most_bytes, silence_seconds=silence_seconds)
        self.most_connections = most_connections
        self._loop = asyncio.new_event_loop()
        self._group = Group(door.intake, self._loop)
        self._thread = threading.Thread(target=self._loop.run_forever, name="mllp", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}

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
        self._server = await asyncio.start_server(self._serve, self.bind, self.port, limit=_BUFFER_BYTES, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= self.most_connections:
            log.warning("connection closed: feed=hl7 error=more than %d connections", self.most_connections)
            writer.transport.abort()
            return
        connection = Connection(self.door, self._group, self.limits, reader, writer)
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
