"""The processes of an installation under a supervisor of the test's own, which can be told to leave a dead one alone."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servers import end_with_parent

WATCH_SECONDS = 0.05
#: One that ends at once is started again after so many seconds.
PAUSE_SECONDS = 0.5


@dataclass
class Member:
    """One process. ``held``: it is not started again before that is taken back."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    held: bool = False
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    ends: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """0 while there is none."""
        return self.process.pid if self.process and self.process.poll() is None else 0

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )
        self.started = time.monotonic()

    def signal(self, number: int) -> None:
        """To this very process, if it still lives."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)


class Crew:
    """Started and watched on one thread: a child is told of the death of the thread that started it."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="crew", daemon=True)
        self._thread.start()

    def add(self, member: Member) -> Member:
        self.members[member.name] = member
        return member

    def free_all(self) -> None:
        """After a round that was given up: whoever is held or stopped goes on."""
        for member in list(self.members.values()):
            member.held = False
            member.signal(signal.SIGCONT)

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_SECONDS):
            for member in list(self.members.values()):
                self._look(member)
        for member in self.members.values():
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGTERM)
        end = time.monotonic() + 15
        for member in self.members.values():
            if member.process:
                try:
                    member.process.wait(max(0.1, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    member.process.kill()
                    member.process.wait()

    def _look(self, member: Member) -> None:
        if member.process and member.process.poll() is not None:
            member.ends.append(member.process.returncode)
            member.process = None
        if member.process is None and not member.held and time.monotonic() - member.started > PAUSE_SECONDS:
            member.start()

    def end(self) -> None:
        """SIGTERM to all, and wait."""
        self._ending.set()
        self._thread.join()


def until(ready: Callable[[], object], what: str, *, seconds: float = 60.0) -> float:
    """Wait for something true; gives the seconds that it took."""
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)
    return time.monotonic() - began


def reachable(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 1):
            return True
    except OSError:
        return False


def clean_environment(**more: str) -> dict[str, str]:
    """This process's own without what a developer has set for dxstream."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DXSTREAM_")} | more
