"""Child processes that end with their parent, and a supervisor that starts a dead one again."""

import ctypes
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

#: A child that dies soon after its start is started again so many seconds after that start, at the most.
MAX_PAUSE = 4.0
FIRST_PAUSE = 0.25


def die_with_parent() -> None:
    """This process gets SIGTERM when its parent dies, however that happens. Linux only; elsewhere nothing is done."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        log.warning("this system does not tell a child that its parent died")


@dataclass(kw_only=True)
class Child:
    """One supervised process. ``died``: called when it ended without being asked to."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    log_file: Path | None = None
    died: Callable[[], None] = lambda: None
    grace_seconds: float = 15.0
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0

    def start(self) -> None:
        """Start it; it will end with this process."""
        output = self.log_file.open("ab") if self.log_file else None
        try:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                list(self.command),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent,
            )
        finally:
            if output:
                output.close()
        self.started = time.monotonic()

    def watch(self) -> None:
        """Start it again if it has died; one that dies at once waits a little longer each time."""
        if self.process is not None and self.process.poll() is not None:
            log.warning("%s ended with %s; it is started again", self.name, self.process.returncode)
            self.process = None
            lived = time.monotonic() - self.started
            self.pause = 0.0 if lived > 2 * MAX_PAUSE else min(MAX_PAUSE, self.pause * 2 or FIRST_PAUSE)
            self.died()
        if self.process is None and time.monotonic() >= self.started + self.pause:
            self.start()

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        """Wait until it has ended; after the grace it is killed."""
        if self.process is None:
            return
        try:
            self.process.wait(self.grace_seconds)
        except subprocess.TimeoutExpired:
            log.warning("%s did not end within %.0f s and is killed", self.name, self.grace_seconds)
            self.process.kill()
            self.process.wait()
