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

import logging
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pickle import dumps  # what Connection.recv reads; its own send looks up every object in Python
from types import TracebackType
from typing import Any

from db.accept import Accepted, accept
from db.engine import Database
from producers.writer import Commits, NotWritten
from stream.arrival import Arrival
from stream.content import SAVE_SECONDS
from stream.errors import DxstreamError, Temporary
from stream.garbage import settle
from stream.modules import module_command
from stream.window import Window

log = logging.getLogger(__name__)

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
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process, where there is one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process and wait until it is ready; where it does not come up, the first group tries again."""
        try:
            self._come_up()
        except (EOFError, OSError):
            self._end()

    def write(self, arrivals: Sequence[Arrival], waited: Sequence[float]) -> Accepted:
        """See ``producers.writer.Writer``. Also Temporary when the process ended: whether it had committed is not known then."""
        try:
            self._come_up()
            answer = self._ask((arrivals, waited))
            if answer is None:
                answer = self._ask(_unsaved(arrivals))
        except (EOFError, OSError) as error:
            log.warning("the process that writes the ledger has ended: error=%s", type(error).__name__)
            self._end()
            raise Temporary("the process that writes the ledger has ended") from error
        if isinstance(answer, Exception):
            raise answer
        accepted: Accepted = answer
        return accepted

    def close(self) -> None:
        """No more groups: the process ends, and a group that is still being written fails. May be called on another thread."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        """End the process, and kill it where it does not end."""
        peer, process = self._peer, self._process
        self._peer = self._process = None
        if peer:
            peer.close()
        if process:
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _ask(self, message: Any) -> Any:
        peer = self._peer
        if peer is None:
            raise EOFError
        peer.send_bytes(dumps(message))
        if not peer.poll(PATIENCE):
            raise TimeoutError("the writer is silent")
        return peer.recv()

    def _come_up(self) -> None:
        """Unless it runs: one that died while nothing came costs no group."""
        if self._process and self._process.poll() is not None:
            log.warning("the process that writes the ledger ended with %d; it is started again", self._process.returncode)
            self._end()
        if self._process:
            return
        if self._closed:
            raise EOFError
        ours, theirs = socket.socketpair()
        command = module_command("producers.writer_apart", str(theirs.fileno()))
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)  # noqa: S603 - our own
        self._peer = Connection(ours.detach())
        self._peer.send(self._setup)
        if not self._peer.poll(PATIENCE):
            raise TimeoutError("the writer does not come up")
        self._peer.recv()


def _unsaved(arrivals: Sequence[Arrival]) -> DxstreamError | None:
    """Waits for every file of the group; what kept one from being durable."""
    try:
        for arrival in arrivals:
            arrival.content.wait()
    except DxstreamError as error:
        return error
    return None


class _PeerGoneError(Exception):
    """The intake has ended: nobody will be answered, so nothing is committed."""


def main() -> None:
    """The writer's end. It is ended by its peer alone, so that a signal to the whole group cuts no commit short."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.excepthook = _tell
    warnings.simplefilter("ignore")  # their text may hold what was sent
    logging.basicConfig(level=logging.CRITICAL, handlers=[logging.NullHandler()])
    peer = Connection(int(sys.argv[1]))
    try:
        setup: Setup = peer.recv()
        commits = Commits(Database(setup.url))
        settle()
        peer.send("ready")
        while True:
            peer.send_bytes(dumps(_answer(commits, setup, peer)))
    except (EOFError, OSError, _PeerGoneError):
        return


def _tell(kind: type[BaseException], _error: BaseException, _trace: TracebackType | None) -> None:
    """Of an error that nobody caught its kind alone."""
    sys.stderr.write(f"the process that writes the ledger ends: {kind.__name__}\n")


def _answer(commits: Commits, setup: Setup, peer: Connection) -> Accepted | DxstreamError:
    """What became of the next group."""
    try:
        arrivals, waited = _hear(peer)
        with commits.begin() as (connection, now):
            accepted = accept(connection, now, arrivals, slot=setup.slot, window=setup.window, waited=waited)
            if any(arrival.content.on_its_way for arrival in arrivals):
                _hear_of_files(peer)
        return replace(accepted, durable=commits.durable)
    except DxstreamError as error:
        return error
    except _PeerGoneError:
        raise
    except Exception as error:  # noqa: BLE001 - the loop's outer edge: no input may end the writer
        return NotWritten(type(error).__name__)


def _hear_of_files(peer: Connection) -> None:
    """Raises what kept a file of the group from being durable; without a word the process ends, and its transaction with it."""
    peer.send(None)
    if not peer.poll(SAVE_SECONDS + _GRACE_SECONDS):
        raise _PeerGoneError
    if (error := _hear(peer)) is not None:
        raise error


def _hear(peer: Connection) -> Any:
    try:
        return peer.recv()
    except (EOFError, OSError) as gone:
        raise _PeerGoneError from gone


if __name__ == "__main__":
    main()
