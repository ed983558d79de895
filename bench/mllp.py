"""HL7 ORU messages per second over MLLP, durable before the ACK, beside the same loop with the store left out, in one run.

``python bench/mllp.py [--rounds 3] [--seconds 5] [--connections 10] [--out build/mllp.json]``
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from processes import cpu_seconds

from db.engine import Database
from db.migrate import upgrade
from db.tables import inputs
from dxstream.show import print_table
from producers.door import Door
from producers.hl7.mllp import MllpFeed
from producers.intake import Intake
from producers.writer_apart import WriteApart
from stream.arrival import Arrival, Receipt
from stream.content import ContentStore
from stream.feeds import FeedsConfig
from stream.identity import Identities
from stream.metrics import Measures
from stream.ring import Bell, RingThread
from stream.window import Window

#: A door, and the processes that stand behind it.
Opened = tuple[Door, Sequence[int]]

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from servers import postgresql_binaries, running_postgresql  # noqa: E402 - the tests' own servers

#: The store that is left out.
STUB = "no store"
#: Who writes: a process of its own, as ``serve`` has it, or the feed's process.
WRITERS = {"": True, ", one process": False}


class StubIntake:
    """Answers at once and keeps nothing: what the port and the parser alone can do."""

    def submit(self, _: Arrival) -> Future[Receipt]:
        """A receipt that is there already."""
        answer: Future[Receipt] = Future()
        answer.set_result(Receipt(input_id=1, disposition="timeline"))
        return answer


def main() -> None:
    """Rounds of every store in turn; medians at the end."""
    options = arguments()
    place = Path(tempfile.mkdtemp(prefix="dx-mllp-", dir=options.place))
    measured: dict[str, list[dict[str, float]]] = {}
    disk: list[float] = []
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        doors: dict[str, Callable[[int], Any]] = {STUB: lambda n: plain(place / f"stub{n}")}
        for name, apart in WRITERS.items():
            doors[f"SQLite{name}"] = partial(stored_sqlite, place / f"sqlite{apart}", apart=apart)
        if postgresql_binaries() and not options.sqlite_only:
            server = stack.enter_context(running_postgresql(fsync=True))
            for name, apart in WRITERS.items():
                doors[f"PostgreSQL{name}"] = partial(stored_postgresql, place / f"postgresql{apart}", server, apart=apart)
        for number in range(options.rounds):
            disk.append(fsync_ms(place))
            for name, opened in doors.items():
                with opened(number) as (door, pids):
                    measured.setdefault(name, []).append(run(door, pids, options, f"{name[:2]}{number}"))
    report(measured, disk, options)


def fsync_ms(place: Path, times: int = 30) -> float:
    """What the disk alone takes to make 64 KiB durable, in milliseconds: no commit is faster."""
    took = []
    with (place / "disk").open("wb") as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(bytes(65536))
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--sqlite-only", action="store_true")
    parser.add_argument("--place", type=Path, help="a folder on the disk to be measured")
    parser.add_argument("--out", type=Path, default=Path("build/mllp.json"))
    return parser.parse_args()


def fresh(server: str, name: str) -> str:
    """The URL of a new database on a server."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.rsplit("/", 1)[0] + f"/{name}"


@contextmanager
def plain(folder: Path) -> Iterator[Opened]:
    """A door without a ledger."""
    yield door_at(folder, cast("Intake", StubIntake())), []


def stored_sqlite(folder: Path, number: int, *, apart: bool) -> AbstractContextManager[Opened]:
    """On a new file."""
    return stored(f"sqlite:///{folder / str(number) / 'ledger.sqlite'}", folder / str(number), apart=apart)


def stored_postgresql(folder: Path, server: str, number: int, *, apart: bool) -> AbstractContextManager[Opened]:
    """On a new database of a server."""
    return stored(fresh(server, f"bench{number}{apart}".lower()), folder / str(number), apart=apart)


@contextmanager
def stored(url: str, folder: Path, *, apart: bool) -> Iterator[Opened]:
    """A door as ``serve`` opens it."""
    database = Database(url)
    upgrade(database)
    ring = RingThread(Bell("redis://127.0.0.1:1/0"))  # results alone ring nothing
    ring.start()
    writer = WriteApart(database, slot="bench", window=Window()) if apart else None
    intake = Intake(database, ring, Measures(), slot="bench", writer=writer)
    intake.start()
    yield door_at(folder, intake), [writer.pid] if writer and writer.pid else []
    intake.stop()
    ring.stop()
    database.close()


def door_at(folder: Path, intake: Intake) -> Door:
    """What every feed needs."""
    feeds = FeedsConfig(folder / "config")
    return Door(intake=intake, store=ContentStore(folder), identities=Identities(b"bench", feeds.authorities), feeds=feeds)


def run(door: Door, pids: Collection[int], options: argparse.Namespace, seed: str) -> dict[str, float]:
    """One round: figures of the senders, and what each side spent; ``pids``: of the receivers' side, beside this one."""
    feed = MllpFeed(door, bind="127.0.0.1", port=0)
    feed.start()
    warmed = send(feed.port, options.connections, 1.0, f"{seed}w")["messages"]
    before = spent(pids)
    figures = send(feed.port, options.connections, options.seconds, seed)
    own = spent(pids) - before
    feed.stop()
    if isinstance(door.intake, Intake):
        with door.intake.database.read() as connection:
            kept = connection.execute(sa.select(sa.func.count()).select_from(inputs)).scalar_one()
        if kept != figures["messages"] + warmed:
            raise SystemExit(f"{figures['messages'] + warmed} messages were acknowledged and {kept} are in the ledger")
    sent = figures["cpu_seconds"]
    return {
        "per_second": figures["messages"] / figures["seconds"],
        "milliseconds": figures["milliseconds"],
        "receiver_cpu_ms": own * 1000 / figures["messages"],
        "sender_cpu_ms": sent * 1000 / figures["messages"],
        "sender_share": sent / (sent + own),
    }


def send(port: int, connections: int, seconds: float, seed: str) -> dict[str, float]:
    """The senders' own figures."""
    command = [sys.executable, HERE / "mllp_sender.py", str(port), str(connections), str(seconds), seed]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return figures


def spent(pids: Collection[int]) -> float:
    """CPU seconds of this process and of these so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime + cpu_seconds(pids)


def report(measured: dict[str, list[dict[str, float]]], disk: list[float], options: argparse.Namespace) -> None:
    """A table, and all rounds as JSON."""
    medians = {name: {key: statistics.median(one[key] for one in rounds) for key in rounds[0]} for name, rounds in measured.items()}
    limit = medians[STUB]["per_second"]
    rows = [
        [name, f"{one['per_second']:,.0f}", f"{one['per_second'] / limit:.0%}", f"{one['milliseconds']:.1f}",
         f"{one['receiver_cpu_ms']:.2f}", f"{one['sender_cpu_ms']:.2f}", f"{one['sender_share']:.0%}"]
        for name, one in medians.items()
    ]  # fmt: skip
    columns = ("store", "messages/s", "of no store", "ms to the ACK", "receiver CPU ms", "sender CPU ms", "senders' share")
    print_table(f"ORU, 4 OBX, {options.connections} connections, medians of {options.rounds}", columns, rows)
    where = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "fsync_ms": disk, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    print(f"{where['cores']} cores, load {where['load']:.1f}, fsync of 64 KiB {statistics.median(disk):.1f} ms")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"medians": medians, "rounds": measured, "machine": where}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
