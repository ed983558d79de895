"""A drain of scans with 2 ms of network between the workers and both Redis and the database, beside the same without."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from inputs import write_inputs
from processes import new_database
from system import System, installed

from dxstream.free_port import free_port

#: Each way, so that a question and its answer take twice as long.
DELAY_SECONDS = 0.001


def measure(place: Any, number: int) -> dict[str, Any]:
    """Events a second without and with; the delay is that of a round trip. SQLite is no server: only Redis is far away."""
    from processes import redis_server  # noqa: PLC0415 - beside its use

    paths = write_inputs("scan", place.folder / "network", number)
    found: dict[str, Any] = {"round_trip_ms": 2000 * DELAY_SECONDS, "n": number}
    for name, delay in (("near", 0.0), ("far", DELAY_SECONDS)):
        with ExitStack() as stack:
            redis_url = stack.enter_context(far(stack.enter_context(redis_server()), delay))
            url = None
            if place.server:
                url = stack.enter_context(far(new_database(place.server, place.folder, f"network_{name}"), delay))
            system = System(stack.enter_context(installed(place.folder / name, url, redis_url=redis_url)), "scan")
            system.drain(paths[: number // 4])
            found[f"{name}_events_per_s"] = round(max(system.drain(paths).per_second for _ in range(2)), 1)
    found["loses"] = round(found["near_events_per_s"] / found["far_events_per_s"], 2)
    return found


@contextmanager
def far(url: str, delay: float) -> Iterator[str]:
    """The same server, so many seconds away."""
    if not delay:
        yield url
        return
    head, _, rest = url.partition("127.0.0.1:")
    port, slash, tail = rest.partition("/")
    with _Proxy(int(port), delay) as ours:
        yield f"{head}127.0.0.1:{ours}{slash}{tail}"


class _Proxy:
    """Passes bytes on after a delay, in order, however many are under way. Runs on a thread of its own."""

    def __init__(self, port: int, delay: float) -> None:
        self.port, self.delay, self.ours = port, delay, free_port()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> int:
        self._thread.start()
        self._up.wait()
        return self.ours

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", self.ours)
        self._up.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass_on(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Bytes are written ``delay`` after they came; end of one side is the end of the other."""
        loop = asyncio.get_running_loop()
        try:
            while some := await source.read(65536):
                loop.call_later(self.delay, self._write, target, some)
            await asyncio.sleep(2 * self.delay)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            target.close()

    def _write(self, target: asyncio.StreamWriter, some: bytes) -> None:
        if not target.is_closing():
            target.write(some)
