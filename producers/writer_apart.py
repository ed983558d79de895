"""A process of its own that writes what the intake gathers, so that SQL and the feeds do not share one interpreter.

The two ends talk over a pair of sockets, one group at a time::

    intake                       writer
                           ←     ready
    group                  →     writes its rows
                           ←     None, where files of the group are on their way to the store
    None, or what failed   →     commits, or rolls back
                           ←     what became of the group, or why it could not be written

The process ends when the intake's end closes, however that happens: what was not committed by then was not answered either.
"""

import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from db.accept import Accepted, accept
from db.engine import Database
from producers.writer import NotWritten
from stream.arrival import Arrival
from stream.content import SAVE_SECONDS
from stream.errors import DxstreamError, Temporary
from stream.window import Window

#: A writer that says nothing for so long is ended, in seconds; more than any wait of a driver.
PATIENCE = 60.0
#: How long the files of a group may take beyond what one of them may, in seconds.
_GRACE_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the writer is told first. ``url``: of the ledger, with its password."""

    url: str
    slot: str
    window: Window


class WriteApart:
    """The intake's end. A process that has ended is started again when it is needed."""

    def __init__(self, database: Database, *, slot: str, window: Window) -> None:
        url = database.url.render_as_string(hide_password=False)
        self._setup = Setup(url=url, slot=slot, window=window)
        self._process: subprocess.Popen[bytes] | None = None
        self._peer: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, where there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process and wait until it is ready; where it does not come up, the first group tries again."""
        try:
            self._peer = self._begin()
        except (EOFError, OSError):
            self.close()

    def write(self, arrivals: Sequence[Arrival], waited: Sequence[float]) -> Accepted:
        """See ``producers.writer.Writer``. Also Temporary when the process ended: whether it had committed is not known then."""
        group = pickle.dumps((arrivals, waited), pickle.HIGHEST_PROTOCOL)
        try:
            answer = self._ask(group)
            if answer is None:
                answer = self._ask(pickle.dumps(_unsaved(arrivals)))
        except (EOFError, OSError) as error:
            self.close()
            raise Temporary("the process that writes the ledger has ended") from error
        if isinstance(answer, Exception):
            raise answer
        accepted: Accepted = answer
        return accepted

    def close(self) -> None:
        """End the process, and kill it where it does not end."""
        if self._peer:
            self._peer.close()
        if self._process:
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._peer = self._process = None

    def _ask(self, message: bytes) -> Any:
        if self._peer is None:
            self._peer = self._begin()
        self._peer.send_bytes(message)
        if not self._peer.poll(PATIENCE):
            raise TimeoutError("the writer is silent")
        return pickle.loads(self._peer.recv_bytes())  # noqa: S301 - our own process

    def _begin(self) -> Connection:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "producers.writer_apart", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)  # noqa: S603 - our own
        peer = Connection(ours.detach())
        peer.send(self._setup)
        if not peer.poll(PATIENCE):
            raise TimeoutError("the writer does not come up")
        peer.recv()
        return peer


def _unsaved(arrivals: Sequence[Arrival]) -> DxstreamError | None:
    """Waits for every file of the group; what kept one from being durable."""
    try:
        for arrival in arrivals:
            arrival.content.wait()
    except DxstreamError as error:
        return error
    return None


def main() -> None:
    """The writer's end. It is ended by its peer alone, so that a signal to the whole group cuts no commit short."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    peer = Connection(int(sys.argv[1]))
    setup: Setup = peer.recv()
    database = Database(setup.url)
    try:
        peer.send("ready")
        while True:
            arrivals, waited = pickle.loads(peer.recv_bytes())  # noqa: S301 - from our own intake
            peer.send_bytes(pickle.dumps(_write(database, setup, arrivals, waited, peer), pickle.HIGHEST_PROTOCOL))
    except (EOFError, OSError):
        database.close()


def _write(
    database: Database, setup: Setup, arrivals: Sequence[Arrival], waited: Sequence[float], peer: Connection
) -> Accepted | DxstreamError:
    try:
        with database.write() as (connection, now):
            accepted = accept(connection, now, arrivals, slot=setup.slot, window=setup.window, waited=waited)
            if any(arrival.content.on_its_way for arrival in arrivals):
                _hear_of_files(peer)
            return accepted
    except DxstreamError as error:
        return error
    except (EOFError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - the loop's outer edge: no input may end the writer
        return NotWritten(type(error).__name__)


def _hear_of_files(peer: Connection) -> None:
    """Raises what kept a file of the group from being durable; without a word the process ends, and its transaction with it."""
    peer.send(None)
    if not peer.poll(SAVE_SECONDS + _GRACE_SECONDS):
        raise EOFError
    if (error := peer.recv()) is not None:
        raise error


if __name__ == "__main__":
    main()
