"""The whole system as a design: ``dxstream up`` with a worker a core, its ledger filled or fed through an intake."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from design import PROCESSES, Drained
from durable import watch
from inputs import FACTS
from pacing import wait_until
from processes import cpu_seconds, database_processes

from db.accept import accept
from db.tables import events
from dxstream.up import Installation
from producers.intake import Intake
from stream.arrival import Arrival, JudgeNow, Receipt
from stream.content import Content, ContentStore
from stream.metrics import Measures
from stream.queues import Lane
from stream.ring import Bell, RingThread
from stream.settings import Settings
from stream.window import Window

#: Threads that save what is submitted as bytes, as the connections of a feed would.
SENDERS = 16
#: Arrivals that are written together.
GROUP = 5000

_rounds = count()


class System:
    """An installation that is up. ``kind``: the modality of what it is given."""

    def __init__(self, installation: Installation, kind: str) -> None:
        self.installation, self.kind = installation, kind
        self.database = installation.database
        self.store = ContentStore(installation.settings.home / "content")
        self.roots = [
            *database_processes(installation.settings.database_url),
            *(child.process.pid for child in installation.children),
        ]

    def drain(self, paths: Sequence[Path]) -> Drained:
        """Fill the ledger unheard, ring once, and wait until all is done."""
        name = f"drain-{next(_rounds)}"
        contents = {path: self._put(path) for path in dict.fromkeys(paths)}
        arrivals = [self.arrival(f"{name}-{place}", contents[path]) for place, path in enumerate(paths)]
        rings = self._fill(arrivals)
        before = cpu_seconds(self.roots)
        began = time.monotonic()
        for queue, ids in rings.items():
            Bell(self.installation.settings.redis_url).ring(queue, ids)
        self.wait()
        seconds = time.monotonic() - began
        return Drained(number=len(paths), seconds=seconds, cpu_seconds=cpu_seconds(self.roots) - before)

    def feed(self, paths: Sequence[Path], moments: Sequence[float]) -> list[float]:
        """Submit each through an intake: the ledger commits, the bell rings. The content is durable before, as the limit's is."""
        contents = [self._put(path) for path in paths]
        with self._intake() as intake:
            return self._feed(moments, lambda name, place: intake.submit(self.arrival(name, contents[place])))

    def feed_bytes(self, paths: Sequence[Path], moments: Sequence[float]) -> list[float]:
        """The same from bytes that only the sender has: as a feed does it, they are saved while the rows are written."""
        contents = [path.read_bytes() for path in paths]

        def save(content: Content, place: int) -> None:
            self.store.save(content, contents[place])

        with self._intake() as intake, ThreadPoolExecutor(SENDERS) as senders:

            def submit(name: str, place: int) -> Future[Receipt]:
                content = self.store.begin(contents[place])
                senders.submit(save, content, place)
                return intake.submit(self.arrival(name, content))

            return self._feed(moments, submit)

    def _feed(self, moments: Sequence[float], submit: Callable[[str, int], Future[Receipt]]) -> list[float]:
        """Call ``submit`` with a name and a place at each moment, however many are not answered yet; seconds until durable."""
        feed = f"feed-{next(_rounds)}"
        with watch(self.database, feed) as durable:
            began, clock = time.monotonic(), time.time()
            answers = []
            for place, moment in enumerate(moments):
                wait_until(began + moment)
                answers.append(submit(f"{feed}-{place}", place))
            for answer in answers:
                answer.result()
            self.wait()
            found = durable(clock - began)
        return [found[f"image:{feed}-{place}"] - began - moment for place, moment in enumerate(moments)]

    def arrival(self, name: str, content: Content, lane: Lane = Lane.ROUTINE) -> Arrival:
        """One input that is judged by itself."""
        ask = JudgeNow(case_key=f"image:{name}", modality=self.kind, facts=FACTS[self.kind])
        return Arrival(feed="bench", identity=name, sender_id=name, content=content, asks=(ask,), lane=lane)

    def wait(self) -> None:
        """Until nothing waits or is leased; looks rarely, so that looking costs nothing."""
        left = sa.select(events.c.id).where(events.c.state.in_(("waiting", "leased"))).limit(1)
        while True:
            with self.database.read() as connection:
                if connection.execute(left).first() is None:
                    return
            time.sleep(0.02)

    def _put(self, path: Path) -> Content:
        """Stored, and in the page cache as the limit's files are: the store writes past it."""
        content = self.store.put(path.read_bytes())
        if content.data is None:
            self.store.get(content.digest)
        return content

    def _fill(self, arrivals: Sequence[Arrival]) -> dict[str, list[int]]:
        """In one commit, so that nothing is judged before all is there."""
        rings: dict[str, list[int]] = {}
        with self.database.write() as (connection, now):
            for start in range(0, len(arrivals), GROUP):
                some = accept(connection, now, arrivals[start : start + GROUP], slot="bench", window=Window())
                rings |= some.rings
        return rings

    @contextmanager
    def _intake(self) -> Iterator[Intake]:
        ring = RingThread(Bell(self.installation.settings.redis_url))
        intake = Intake(self.database, ring, Measures(), slot="bench")
        ring.start()
        intake.start()
        try:
            yield intake
        finally:
            intake.stop()
            ring.stop()


@contextmanager
def installed(home: Path, database_url: str | None, **changes: str) -> Iterator[Installation]:
    """Everything started, on SQLite in its home or on a PostgreSQL; logs go to the home's folder logs."""
    named = {"DXSTREAM_DATABASE_URL": database_url} if database_url else {}
    named |= {"DXSTREAM_RUNTIME": os.environ["DXSTREAM_RUNTIME"]} if "DXSTREAM_RUNTIME" in os.environ else {}
    ports = {f"DXSTREAM_{name}_PORT": "0" for name in ("DICOM", "MLLP", "HTTP", "METRICS")}
    settings = replace(Settings.from_environment({**named, **ports}, home=home), devices=f"cpu:{PROCESSES}", **changes)
    home.mkdir(parents=True, exist_ok=True)
    installation = Installation(settings, quiet=True)
    try:
        installation.start()
        yield installation
    finally:
        installation.stop()
