"""A running ``dxstream up``: started as a user starts it, seen from outside by its ports, its ledger and /proc."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from servers import end_with_parent

from db import report
from db.engine import Database
from db.tables import cases
from dxstream.hospital.lines import Ports
from stream.errors import Temporary

T = TypeVar("T")

#: Seconds that anything may take before a test gives up; nothing here asserts how long it did take.
PATIENCE = 150.0
#: A case that closes later than this is not waited for: a stay's window may be two days long.
SOON = timedelta(minutes=2)

FREE_PORTS = {f"DXSTREAM_{name}_PORT": "0" for name in ("DICOM", "MLLP", "HTTP", "METRICS")}


def environment(**more: str) -> dict[str, str]:
    """This process's own, without what a developer has set for dxstream."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DXSTREAM_")} | FREE_PORTS | more


def until(ready: Callable[[], T], what: str, *, seconds: float = PATIENCE) -> T:
    """Wait for something true, and give it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = ready()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def run(*arguments: str, home: Path | None = None, seconds: float = PATIENCE, **more: str) -> subprocess.CompletedProcess[str]:
    """One command of the command line to its end."""
    command = [sys.executable, "-m", "dxstream", *arguments, *(("--home", str(home)) if home else ())]
    return subprocess.run(
        command, env=environment(**more), capture_output=True, text=True, timeout=seconds, check=False, preexec_fn=end_with_parent
    )


def get(url: str) -> tuple[int, str]:
    """Status and body of a page."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@dataclass(frozen=True)
class Process:
    """One process, read from /proc."""

    pid: int
    parent: int
    state: str
    command: Sequence[str]

    @property
    def name(self) -> str:
        """``intake``, ``keeper``, ``worker cpu-0``, ``redis``; the command line where it is none of these."""
        words = list(self.command)
        if "redis-server" in (words[0] if words else ""):
            return "redis"
        if "worker" in words:
            return f"worker {words[words.index('--name') + 1]}"
        return "intake" if "serve" in words else "keeper" if "keeper" in words else " ".join(words)


def processes_of(session: int) -> list[Process]:
    """Every process of a session that has not ended, whoever its parent is now."""
    return [one for one, its in _all_processes() if its == session and one.state != "Z"]


def _all_processes() -> Iterator[tuple[Process, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                command = (folder / "cmdline").read_text().split("\0")[:-1]
            except OSError:  # it has just ended
                continue
            yield Process(int(folder.name), int(fields[1]), fields[0], command), int(fields[3])


def peak_mebibytes(pid: int) -> float:
    """The most memory that a process ever had (VmHWM)."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return next(int(words[1]) / 1024 for words in lines if words[0] == "VmHWM:")


@dataclass
class Ledger:
    """What a database says; reads again while it is busy."""

    url: str

    def __post_init__(self) -> None:
        self.database = Database(self.url)

    def read(self, query: Callable[[sa.Connection], T]) -> T:
        while True:
            try:
                with self.database.read() as connection:
                    return query(connection)
            except Temporary:
                time.sleep(0.2)

    def rows(self, text: str, **values: Any) -> list[Mapping[str, Any]]:
        return self.read(lambda connection: [dict(row) for row in connection.execute(sa.text(text), values).mappings()])

    def count(self, *columns: str, table: str, where: str = "1 = 1") -> dict[tuple[str, ...], int]:
        """Values of columns → rows."""
        names = ", ".join(columns)
        rows = self.rows(f"SELECT {names}, count(*) AS n FROM {table} WHERE {where} GROUP BY {names}")
        return {tuple(row[name] for name in columns): row["n"] for row in rows}

    def status(self) -> dict[str, Any]:
        return self.read(lambda connection: report.status(connection, self.database.now(connection)))

    def inputs(self) -> list[dict[str, Any]]:
        return self.read(report.list_inputs)

    def events(self) -> list[dict[str, Any]]:
        return self.read(report.list_events)

    def predictions(self) -> list[dict[str, Any]]:
        return self.read(report.list_predictions)

    def settled(self) -> bool:
        """Nothing is about to become an event, and then: nothing waits or is leased."""
        due = sa.select(sa.func.count()).where(cases.c.close_at < self.read(self.database.now) + SOON)
        if self.read(lambda connection: connection.execute(due).scalar_one()):
            return False
        events = self.status()["events"]
        return not events["waiting"] + events["delayed"] + events["leased"]

    def settle(self) -> None:
        """Wait until every event has ended."""
        until(self.settled, "every event ends")

    def close(self) -> None:
        self.database.close()


@dataclass
class Up:
    """One ``dxstream up`` in a session of its own, whose number is its process id."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.log = self.home.parent / f"{self.home.name}.log"
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dxstream", "up", "--home", str(self.home)],
                env=environment(**self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        until(lambda: self._shown(before), "dxstream up is ready")
        self.ledger = Ledger(self.settings.get("DXSTREAM_DATABASE_URL") or f"sqlite:///{self.home / 'dxstream.sqlite'}")

    def _shown(self, before: int) -> bool:
        """It prints its addresses once everything is ready."""
        assert self.process.poll() is None, f"dxstream up ended:\n{self.log_text()[-3000:]}"
        return "dxstream is up" in self.log.read_bytes()[before:].decode(errors="replace")

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def addresses(self) -> Mapping[str, Any]:
        return json.loads((self.home / "addresses.json").read_text())

    @property
    def ports(self) -> Ports:
        """Where the hospital sends to."""
        at = self.addresses
        return Ports(host="127.0.0.1", dicom=at["dicom"], ae_title="DXSTREAM", mllp=at["mllp"], http=at["http"])

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.addresses['metrics']}/metrics"

    def metrics(self) -> str:
        status, text = get(self.metrics_url)
        assert status == 200
        return text

    def children(self) -> dict[str, int]:
        """Name → process id of everything that ``up`` has started and that lives."""
        return {one.name: one.pid for one in processes_of(self.process.pid) if one.parent == self.process.pid}

    def kill(self, name: str) -> int:
        """SIGKILL to one child; gives its process id."""
        pid = self.children()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def replaced(self, name: str, pid: int) -> int:
        """Wait until the supervisor has put another process in the place of ``pid``."""

        def other() -> int:
            now = self.children().get(name, pid)
            return now if now != pid else 0

        return until(other, f"{name} is replaced")

    def all_ready(self) -> bool:
        """Both ports of health say so, and every worker's lease holds."""
        try:
            pages = [get(f"http://127.0.0.1:{self.addresses[port]}/readyz")[0] for port in ("http", "metrics")]
        except OSError:
            return False
        pids = {pid for name, pid in self.children().items() if name.startswith("worker")}
        alive = {worker["pid"] for worker in self.ledger.status()["workers"] if worker["alive"]}
        return pages == [200, 200] and bool(pids) and pids <= alive

    def stop(self) -> int:
        """SIGTERM; gives the exit code once nothing of its session is left."""
        self.ledger.close()
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        self.gone()
        return code

    def gone(self) -> None:
        until(lambda: not processes_of(self.process.pid), "every process of the session ends", seconds=30)

    def end(self) -> None:
        """Whatever is left, however the test ended, by its process id."""
        for one in processes_of(self.process.pid):
            os.kill(one.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_up(home: Path, **settings: str) -> Iterator[Up]:
    """Started and ready; at the end SIGTERM, exit code 0 and no process left."""
    up = Up(home, {"DXSTREAM_DEVICES": "cpu:1", **settings})
    try:
        up.start()
        yield up
        assert up.stop() == 0
    finally:
        up.end()
