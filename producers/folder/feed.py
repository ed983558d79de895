"""The watched folder: files become arrivals, and move only after the ledger's commit, so that a killed process loses none."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers.dicom.file import read_file
from producers.dicom.instance import arrive
from producers.door import Door
from producers.folder.note import note_arrival
from producers.folder.places import Inbox
from stream.arrival import Arrival, Whole
from stream.errors import Refused, Temporary, Unwritable

log = logging.getLogger(__name__)

#: Seconds between two looks; a file is taken when two looks saw the same.
LOOK_SECONDS = 0.5
#: After a temporary error a file is left alone for so long, in seconds.
RETRY_SECONDS = 5.0
#: Files in one commit, at most.
MAX_FILES = 64
#: A larger file is refused, in bytes.
MAX_FILE_BYTES = 2**30
#: Waiting for the ledger, in seconds.
ANSWER_SECONDS = 30

#: (bytes, file name) → arrivals, a Whole where they go into one commit; raises Refused, Temporary.
Parser = Callable[[bytes, str], Sequence[Arrival]]


@dataclass(frozen=True, kw_only=True)
class _Handed:
    """A file of which every arrival was handed to the intake: an answer for each, or one for all of a Whole."""

    path: Path
    inputs: int
    answers: Sequence[Future[Any]]


class FolderFeed:
    """Watches ``inbox``. ``parsers``: suffix → parser, for all but DICOM (``.dcm``, or DICM at byte 128) and notes (``.txt``)."""

    def __init__(self, door: Door, *, inbox: Path, parsers: Mapping[str, Parser]) -> None:
        self.door = door
        self.inbox = Inbox(inbox)
        self.parsers: dict[str, Parser] = {".dcm": self._dicom, ".txt": self._note, **parsers}
        self._later: dict[Path, float] = {}  # path → not before, monotonic seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="folder", daemon=True)

    def start(self) -> None:
        """Make the folders and start looking; raises OSError when the inbox cannot be made."""
        self.inbox.make()
        self._thread.start()

    def stop(self) -> None:
        """End after the files that are under way."""
        self._ending.set()
        self._thread.join(timeout=ANSWER_SECONDS)

    def look(self) -> None:
        """Take every file that has settled; raises OSError when the folder cannot be read."""
        now = time.monotonic()
        paths = self.inbox.settled()
        self._later = {path: at for path, at in self._later.items() if at > now}
        due = [path for path in paths if path not in self._later]
        for start in range(0, len(due), MAX_FILES):
            handed = [self._hand(path) for path in due[start : start + MAX_FILES]]
            for one in handed:
                if one:
                    self._finish(one)

    def _run(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            try:
                self.look()
            except OSError as error:
                log.warning("the inbox cannot be used: feed=folder error=%s", type(error).__name__)

    def _hand(self, path: Path) -> _Handed | None:
        """Parse a file and submit all that is in it; None when there is nothing to wait for."""
        try:
            arrivals = self._parse(path)
        except Refused as error:
            self.door.intake.refused("folder", "content refused")
            self._refuse(path, _words(error))
        except Exception as error:  # noqa: BLE001 - one file's outer edge: nobody would take the others any more
            self._leave(path, error)
        else:
            return _Handed(path=path, inputs=len(arrivals), answers=self._submit(arrivals))
        return None

    def _submit(self, arrivals: Sequence[Arrival]) -> Sequence[Future[Any]]:
        if isinstance(arrivals, Whole):
            return [self.door.intake.submit_whole(arrivals)]
        return [self.door.intake.submit(arrival) for arrival in arrivals]

    def _parse(self, path: Path) -> Sequence[Arrival]:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise Refused("the file is too large")
        self.door.store.check_space(size)
        content = path.read_bytes()
        arrivals = self._parser(path, content)(content, self.inbox.name(path))
        if not arrivals:
            raise Refused("there is nothing in this file")
        return arrivals

    def _parser(self, path: Path, content: bytes) -> Parser:
        """By the suffix; else by the bytes, since many DICOM files are named by their UID."""
        parser = self.parsers.get(path.suffix.lower())
        if parser is None and content[128:132] == b"DICM":
            return self._dicom
        if parser is None:
            raise Refused("neither the file's suffix nor its content is known here")
        return parser

    def _dicom(self, content: bytes, name: str) -> Sequence[Arrival]:
        del name
        return [arrive(self.door, read_file(content), feed="folder")]

    def _note(self, content: bytes, name: str) -> Sequence[Arrival]:
        return [note_arrival(self.door, content, name)]

    def _finish(self, handed: _Handed) -> None:
        """Wait for every answer; the file is done when all are."""
        refusals: list[str] = []
        for number, answer in enumerate(handed.answers, 1):
            try:
                answer.result(ANSWER_SECONDS)
            except Unwritable as error:  # counted by the intake
                which = f"input {number}" if handed.inputs == len(handed.answers) else "all"
                refusals.append(f"{which} of {handed.inputs}: {_words(error)}")
            except (Temporary, TimeoutError) as error:
                self._leave(handed.path, error)
                return
        if refusals:
            self._refuse(handed.path, "\n".join(refusals))
            return
        log.info("taken: feed=folder inputs=%d", handed.inputs)
        self._put_away(handed.path)

    def _refuse(self, path: Path, reason: str) -> None:
        log.warning("refused: feed=folder kind=%s", path.suffix.lower() if path.suffix.lower() in self.parsers else "unknown")
        self._put_away(path, reason)

    def _put_away(self, path: Path, reason: str = "") -> None:
        try:
            self.inbox.put_away(path, reason)
        except OSError as error:
            self._leave(path, error)

    def _leave(self, path: Path, error: Exception) -> None:
        self._later[path] = time.monotonic() + RETRY_SECONDS
        log.warning("not taken for now: feed=folder error=%s", type(error).__name__)


def _words(error: Refused) -> str:
    return f"{error.reason} ({error.where})" if error.where else error.reason
