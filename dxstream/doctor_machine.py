"""Checks of the machine around an installation: versions, ports, clocks, the GPU as torch sees it, models' golden cases."""

import importlib.metadata
import json
import os
import platform
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from db.engine import Database
from dxstream.home import read_addresses
from stream.modules import module_command
from stream.settings import Settings

#: Two clocks that are further apart than this are a fault, in seconds: a lease lasts 6.
MOST_SKEW = 2.0
#: The oldest versions that are known to do: SQLite's RETURNING, PostgreSQL's SKIP LOCKED with it, Redis' streams of today.
OLDEST = {"SQLite": (3, 35), "PostgreSQL": (13, 0), "Redis": (6, 2)}
#: How long the golden cases may take, in seconds.
PATIENCE = 300

Row = dict[str, Any]


def row(check: str, state: str, remedy: str = "") -> Row:
    """``state``: ok, note or missing."""
    return {"check": check, "state": state, "remedy": remedy}


def either(check: str, remedy: str, *, good: bool, else_: str = "missing") -> Row:
    """``ok``, or ``else_`` with the remedy."""
    return row(check, "ok") if good else row(check, else_, remedy)


def new_enough(name: str, version: str) -> Row:
    """Whether a server or library of this version does."""
    number = version.partition(" ")[0]
    parts = tuple(int(part) for part in number.split(".")[:2] if part.isdigit())
    oldest = ".".join(map(str, OLDEST[name]))
    return either(f"{name} {number}", f"{oldest} or newer is needed: upgrade it", good=parts >= OLDEST[name])


def versions() -> Iterator[Row]:
    """Of Python, ourselves, and the SQLite that Python was built with."""
    try:
        ours = importlib.metadata.version("dxstream")
    except importlib.metadata.PackageNotFoundError:
        ours = "from its source folder"
    yield row(f"dxstream {ours}, Python {platform.python_version()}", "ok")
    yield new_enough("SQLite", sqlite3.sqlite_version)


def ports(settings: Settings) -> Iterator[Row]:
    """Each port is free, or held by this home's own ``up``."""
    at = read_addresses(settings.home)
    running = bool(at) and os.path.exists(f"/proc/{at.get('pid')}")  # noqa: PTH110 - Linux's own
    wanted = {
        "dicom": settings.dicom_port,
        "mllp": settings.mllp_port,
        "http": settings.http_port,
        "metrics": settings.metrics_port,
    }
    for name, port in wanted.items():
        variable = f"DXSTREAM_{name.upper()}_PORT"
        if running and at.get(name) and port in (0, at[name]):
            yield row(f"port {at[name]} ({name})", "ok")
        elif port:
            words = f"it is taken by another process: set {variable} to a free port, or end that process"
            yield either(f"port {port} ({name})", words, good=_is_free(settings.bind, port))


def _is_free(bind: str, port: int) -> bool:
    try:
        with socket.create_server((bind, port)):
            return True
    except OSError:
        return False


def clock(database: Database) -> Iterator[Row]:
    """The database's clock against this machine's; leases and arrivals go by the former, logs and files by the latter."""
    if database.is_sqlite:
        return
    with database.read() as connection:
        before = datetime.now(UTC)
        theirs = database.now(connection)
        middle = before + (datetime.now(UTC) - before) / 2
    apart = abs((theirs - middle).total_seconds())
    words = "run NTP (chrony, systemd-timesyncd) on this machine and on the database's"
    yield either(f"clocks, {apart:.1f} s apart", words, good=apart < MOST_SKEW)


def server_version(database: Database) -> Iterator[Row]:
    """Of PostgreSQL."""
    if not database.is_sqlite:
        with database.read() as connection:
            yield new_enough("PostgreSQL", connection.execute(sa.text("SHOW server_version")).scalar_one())


def torch_sees_gpu() -> Row:
    """Asked in a process of its own: a parent that has touched CUDA poisons its children."""
    code = "import torch; print(torch.cuda.is_available(), torch.version.cuda)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603
    sees, _, built = done.stdout.strip().partition(" ")
    words = (
        "install PyTorch's CUDA build"
        if built == "None"
        else "the driver is too old for this PyTorch, or not given to this container"
    )
    return either("PyTorch sees the GPU", words, good=sees == "True")


def golden_cases(settings: Settings, digests: Collection[str]) -> Iterator[Row]:
    """Each of these cards loads and gives its golden case the probabilities that it should."""
    asked = json.dumps({"folder": str(settings.models), "digests": sorted(digests)})
    command = module_command("dxstream.doctor_golden")
    done = subprocess.run(  # noqa: S603 - our own module
        command,
        input=asked,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["no word"])[-1]
        yield row("golden cases", "missing", f"the process that tries them ended with {done.returncode}: {words}")
        return
    for told in json.loads(done.stdout):
        words = f"{told['why']}; install the card and the libraries of constraints.txt again"
        yield either(f"golden case of {told['card']}", words, good=not told["why"])
