"""The DICOM feed: C-ECHO and C-STORE, and the questions to the sources. Success is answered after the ledger's commit."""

import logging

from producers.dicom.association import CALLING_TITLE_UNKNOWN, SUCCESS, Storing
from producers.dicom.command import Status
from producers.dicom.file import write_file
from producers.dicom.instance import Mismatch, prepare
from producers.dicom.listener import Listener
from producers.dicom.quiet import silence_libraries
from producers.dicom.source import Asker
from producers.door import Door
from stream.content import INLINE_BYTES
from stream.errors import Refused, Temporary, Unwritable

log = logging.getLogger(__name__)

#: Associations at once; the next one is rejected as "local limit exceeded".
MAX_ASSOCIATIONS = 100
#: A connection must ask for its association within so many seconds.
GREETING_SECONDS = 10
#: An association without a word for so long is ended, in seconds.
IDLE_SECONDS = 60
#: An answer that takes longer is "out of resources", in seconds: the sender sends again, and nothing is kept twice.
ANSWER_SECONDS = 30

OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_HIGH = 1  # Priority of a C-STORE request, PS3.7 9.3.1.1


class DicomFeed:
    """Listens on ``bind``:``port`` under ``ae_title``; ``port`` becomes the real one when 0 was asked for."""

    def __init__(self, door: Door, *, bind: str, port: int, ae_title: str) -> None:
        self.door = door
        self.bind = bind
        self.port = port
        self.ae_title = ae_title
        self.config = door.feeds.feed("dicom")
        self._listener: Listener | None = None
        self._askers: list[Asker] = []

    def start(self) -> None:
        """Open the port and begin to ask the sources; raises OSError when the port is taken."""
        silence_libraries()
        self._listener = Listener(
            (self.bind, self.port),
            store=self._store,
            admit=self._admit,
            rejected=lambda: self.door.intake.refused("dicom", "association rejected"),
            most=MAX_ASSOCIATIONS,
            greeting_seconds=GREETING_SECONDS,
            idle_seconds=IDLE_SECONDS,
        )
        self.port = self._listener.port
        self._listener.start()
        database = self.door.intake.database
        self._askers = [Asker(database, title, source, ae_title=self.ae_title) for title, source in self.config.sources.items()]
        for asker in self._askers:
            asker.start()

    def stop(self) -> None:
        """Close the port and the associations; ask no more."""
        if self._listener is not None:
            self._listener.stop()
        for asker in self._askers:
            asker.stop()
        self._listener, self._askers = None, []

    def _admit(self, sender: str) -> tuple[int, int, int] | None:
        allowed = self.config.allowed_senders
        return None if not allowed or sender in allowed else CALLING_TITLE_UNKNOWN

    def _store(self, storing: Storing) -> Status:
        """Answer one C-STORE request with its status."""
        try:
            self._take(storing)
        except Mismatch as error:
            return self._refuse(storing, Status(DOES_NOT_MATCH, error.reason), error, "does not match")
        except Refused as error:
            return self._refuse(storing, Status(CANNOT_UNDERSTAND, error.reason), error, "cannot understand")
        except (Temporary, TimeoutError, OSError) as error:
            log.warning("not stored for now: feed=dicom error=%s", type(error).__name__)
            return Status(OUT_OF_RESOURCES, "not now: the receiver cannot store it, send again")
        return SUCCESS

    def _take(self, storing: Storing) -> None:
        if len(storing.instance.dataset) <= INLINE_BYTES:
            self.door.store.check_space()  # of what becomes a file the store itself looks
        stat = storing.priority == _HIGH
        arrival, file = prepare(self.door, storing.instance, feed="dicom", stat=stat, sender=storing.sender)
        answer = self.door.intake.submit(arrival)
        self.door.store.save(arrival.content, file)  # while the committer writes the rows; it waits before it commits
        receipt = answer.result(ANSWER_SECONDS)
        level = logging.WARNING if receipt.conflict else logging.INFO
        log.log(level, "stored: feed=dicom input=%d known=%s conflict=%s", receipt.input_id, receipt.known, receipt.conflict)

    def _refuse(self, storing: Storing, status: Status, error: Refused, counted: str) -> Status:
        log.warning("refused: feed=dicom status=%04X reason=%s", status.code, error.reason)
        instance = storing.instance
        kept = write_file(instance, sop_class=instance.sop_class, sop_instance=instance.sop_instance)
        if isinstance(error, Unwritable):
            self.door.intake.keep_unwritable("dicom", error, kept)
        else:
            self.door.intake.refused("dicom", counted, content=kept, place=error.where, words=error.reason)
        return status
