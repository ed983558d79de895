"""What the benchmarks know of processes: the processor time of a tree of them, the processor's name, a database server."""

import os
import platform
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import sqlalchemy as sa

_TESTS = Path(__file__).parent.parent / "tests"
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(roots: Collection[int]) -> float:
    """User and system seconds so far of these processes, of those under them and of those that have ended under them."""
    if not roots:
        return 0.0
    found, parents = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:  # it has just ended
                continue
            number = int(folder.name)
            parents[number], found[number] = int(fields[1]), sum(map(int, fields[11:15])) / _TICKS
    return sum(seconds for number, seconds in found.items() if _is_under(number, parents, roots))


def _is_under(number: int, parents: dict[int, int], roots: Collection[int]) -> bool:
    while number in parents:
        if number in roots:
            return True
        number = parents[number]
    return False


def redis_process(url: str) -> int:
    """The process number of a Redis."""
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def database_processes(url: str) -> list[int]:
    """The PostgreSQL server of a database; none for SQLite, which works within its users' processes."""
    if url.startswith("sqlite"):
        return []
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        backend = int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        fields = Path(f"/proc/{backend}/stat").read_text().rsplit(")", 1)[1].split()
    engine.dispose()
    return [int(fields[1])]


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


@contextmanager
def database_server(kind: str) -> Iterator[str | None]:
    """The URL of a PostgreSQL of its own that syncs its commits and knows when each was made; None for SQLite."""
    if kind == "sqlite":
        yield None
        return
    sys.path.insert(0, str(_TESTS))
    from servers import running_postgresql  # noqa: PLC0415 - the tests' own, found by the line before

    with running_postgresql(fsync=True, settings=("track_commit_timestamp=on",)) as url:
        yield url


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis of its own."""
    sys.path.insert(0, str(_TESTS))
    from servers import running_redis  # noqa: PLC0415 - likewise

    with running_redis() as url:
        yield url


def new_database(server: str | None, folder: Path, name: str) -> str:
    """The URL of a new, empty database: on the server, else a file of ``folder``."""
    if server is None:
        return f"sqlite:///{folder / name}.sqlite"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine.dispose()
    return server.rsplit("/", 1)[0] + f"/{name}"
