"""An installation under chaos: the real intake and keepers, workers with stub models, Redis and a database that can be ended."""

import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from crew import Crew, Member, clean_environment, reachable, until
from servers_held import Server, postgresql_server, redis_server

from db.engine import Database
from db.migrate import upgrade
from dxstream.free_port import free_port
from dxstream.hospital.lines import Ports
from stream.errors import Temporary

HERE = Path(__file__).parent
T = TypeVar("T")

#: Seconds that an inference may take here: no batch takes longer than one, and some hang on purpose.
HANGS_AFTER = "4"

#: A series is complete after so little silence.
FEEDS = "[dicom]\nquiet_seconds = { CT = 1 }\n"


@dataclass
class Installation:
    """All of it, in one home. ``database``: ``sqlite`` or ``postgresql``."""

    home: Path
    database: str
    workers: int = 3
    #: Where Redis and PostgreSQL listen.
    address: str = "127.0.0.1"
    #: Role → more environment, for instance another clock.
    more: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    #: Worker → words before its command (``ip netns exec …``).
    spaces: Mapping[str, Sequence[str]] = field(default_factory=dict)
    keepers: Sequence[str] = ("keeper",)
    #: False: the shipped models on the processor, with torch.
    stubs: bool = True
    crew: Crew = field(default_factory=Crew)

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "config").mkdir(exist_ok=True)
        (self.home / "config" / "feeds.toml").write_text(FEEDS)
        self.redis, self.redis_url = redis_server(self.home / "redis", self.address)
        self.redis.start()
        self.sql: Server | None = None
        self.url = f"sqlite:///{self.home / 'dxstream.sqlite'}"
        if self.database == "postgresql":
            self.sql, self.url = postgresql_server(self.home / "postgresql", self.address)
            self.sql.start()
        self.ledger = Database(self.url)
        upgrade(self.ledger)
        self.ports = Ports(host="127.0.0.1", dicom=free_port(), ae_title="DXSTREAM", mllp=free_port(), http=free_port())
        self.add("intake", "-m", "dxstream", "serve", "all")
        for name in self.keepers:
            self.add(name, "-m", "dxstream", "keeper")
        for number in range(self.workers):
            self.add_worker(f"w{number}")
        self.ready()

    def ready(self) -> None:
        """The ports answer and every worker has a lease."""
        ports = (self.ports.dicom, self.ports.mllp, self.ports.http)
        until(lambda: all(reachable(self.ports.host, port) for port in ports), "the intake")
        until(lambda: len(self.alive()) >= self.workers, "the workers", seconds=150)

    def environment(self, **more: str) -> dict[str, str]:
        one = self.ports
        values = {"HOME": self.home, "REDIS_URL": self.redis_url, "DATABASE_URL": self.url, "METRICS_PORT": free_port()}
        values |= {"DICOM_PORT": one.dicom, "MLLP_PORT": one.mllp, "HTTP_PORT": one.http}
        return clean_environment(**{f"DXSTREAM_{name}": str(value) for name, value in values.items()}, **more)

    def add(self, name: str, *arguments: str, space: Sequence[str] = ()) -> Member:
        logs = self.home / "logs"
        logs.mkdir(exist_ok=True)
        more = self.more.get(name, {})
        return self.crew.add(Member(name, [*space, sys.executable, *arguments], self.environment(**more), logs / f"{name}.log"))

    def add_worker(self, name: str) -> Member:
        real = ("-m", "dxstream", "worker", "--device", "cpu", "--name", name, "--threads", "1")
        command = (str(HERE / "stub_worker.py"), name) if self.stubs else real
        member = self.add(name, *command, space=self.spaces.get(name, ()))
        member.environment = {**member.environment, "CHAOS_DEADLINE_SECONDS": HANGS_AFTER}
        return member

    def alive(self) -> list[str]:
        """Names of the workers that hold a lease."""
        rows = self.rows("SELECT name FROM workers WHERE ended_at IS NULL")
        return [row["name"] for row in rows]

    def worker(self, name: str) -> Member:
        return self.crew.members[name]

    def read(self, query: Callable[[sa.Connection], T]) -> T:
        """Read again while the database is away."""
        while True:
            try:
                with self.ledger.read() as connection:
                    return query(connection)
            except Temporary:
                time.sleep(0.05)

    def rows(self, text: str, **values: Any) -> list[Mapping[str, Any]]:
        return self.read(lambda connection: [dict(row) for row in connection.execute(sa.text(text), values).mappings()])

    def one(self, text: str, **values: Any) -> Any:
        """The only value."""
        return next(iter(self.rows(text, **values)[0].values()))

    def unfinished(self) -> int:
        """Events that wait or are leased, and cases that gather."""
        gathering = self.one("SELECT count(*) FROM cases WHERE close_at IS NOT NULL")
        return int(gathering + self.one("SELECT count(*) FROM events WHERE state IN ('waiting', 'leased')"))

    def settle(self) -> float:
        """Until every event has ended; says what has not."""
        try:
            return until(lambda: not self.unfinished(), "every event ends", seconds=150)
        except AssertionError as error:
            open_ones = (
                "SELECT id, state, suspect, attempts, crashes, holder, not_before FROM events WHERE state IN ('waiting', 'leased')"
            )
            gathering = "SELECT id, case_key, close_at, touched_at FROM cases WHERE close_at IS NOT NULL"
            alive = "SELECT id, name, lease_until, claimed_at FROM workers WHERE ended_at IS NULL"
            raise AssertionError([self.rows(text)[:10] for text in (open_ones, gathering, alive)]) from error

    def stop(self) -> None:
        self.crew.end()
        if hasattr(self, "ledger"):
            self.ledger.close()
        for server in (self.sql, self.redis) if hasattr(self, "redis") else ():
            if server:
                server.end(signal.SIGINT if server is self.sql else signal.SIGTERM)  # SIGTERM waits for PostgreSQL's clients


@contextmanager
def running(home: Path, database: str, **options: Any) -> Iterator[Installation]:
    """Started and ready; at the end nothing is left but the home."""
    one = Installation(home, database, **options)
    try:
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(home / "postgresql", ignore_errors=True)
