"""The DICOM listener: C-ECHO and C-STORE. Success is answered after the ledger's commit, and nothing is decoded."""

import logging
import threading
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, _config, evt

from producers.dicom.file import Instance
from producers.dicom.instance import Mismatch, arrive
from producers.dicom.server import QuickRequest, Server, silence_libraries, storage_contexts
from producers.door import Door
from stream.errors import Refused, Temporary

log = logging.getLogger(__name__)

#: The largest PDU that we take, in bytes: senders fill it, so that an image is a few PDUs and not dozens.
MAX_PDU_BYTES = 131_072
#: Associations at once; the next one is rejected as "local limit exceeded".
MAX_ASSOCIATIONS = 100
#: A connection must ask for its association within so many seconds.
GREETING_SECONDS = 10
#: An association without a word for so long is ended, in seconds.
IDLE_SECONDS = 60
#: An answer that takes longer is "out of resources", in seconds: the sender sends again, and nothing is kept twice.
ANSWER_SECONDS = 30

SUCCESS = 0x0000
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
        self._server: Server | None = None

    def start(self) -> None:
        """Open the port; raises OSError when it is taken."""
        silence_libraries()
        _config.LOG_HANDLER_LEVEL = "none"
        entity = AE(self.ae_title)
        entity.maximum_pdu_size = MAX_PDU_BYTES
        entity.maximum_associations = MAX_ASSOCIATIONS
        entity.network_timeout = IDLE_SECONDS
        entity.acse_timeout = GREETING_SECONDS
        entity.require_calling_aet = sorted(self.config.allowed_senders)
        self._server = Server(
            entity,
            (self.bind, self.port),
            self.ae_title,
            storage_contexts(),
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_REJECTED, self._rejected)],
            request_handler=QuickRequest,
        )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="dicom", daemon=True).start()

    def stop(self) -> None:
        """Close the port, then the associations: an instance without an answer is sent again by its sender."""
        if self._server is None:
            return
        self._server.shutdown()
        for association in self._server.active_associations:
            if association.is_established:
                association.abort()
                association.join(timeout=5)
            else:
                association.dul.kill_dul()  # nobody has said yet who is there
        self._server = None

    def _rejected(self, event: Any) -> None:
        del event
        self.door.intake.refused("dicom", "association rejected")

    def _store(self, event: Any) -> int | Dataset:
        """Answer one C-STORE request with its status."""
        request, sender = event.request, event.assoc.requestor.ae_title
        instance = Instance(
            transfer_syntax=str(event.context.transfer_syntax),
            dataset=request.DataSet.getvalue() if request.DataSet else b"",
            sop_class=str(request.AffectedSOPClassUID),
            sop_instance=str(request.AffectedSOPInstanceUID),
        )
        try:
            self._take(instance, stat=request.Priority == _HIGH or sender in self.config.stat_senders)
        except Mismatch as error:
            return self._refuse(DOES_NOT_MATCH, error.reason, "does not match")
        except Refused as error:
            return self._refuse(CANNOT_UNDERSTAND, error.reason, "cannot understand")
        except (Temporary, TimeoutError, OSError) as error:
            log.warning("not stored for now: feed=dicom error=%s", type(error).__name__)
            return _status(OUT_OF_RESOURCES, "not now: the receiver cannot store it, send again")
        return SUCCESS

    def _take(self, instance: Instance, *, stat: bool) -> None:
        self.door.store.check_space(len(instance.dataset))
        receipt = self.door.intake.submit(arrive(self.door, instance, feed="dicom", stat=stat)).result(ANSWER_SECONDS)
        level = logging.WARNING if receipt.conflict else logging.INFO
        log.log(level, "stored: feed=dicom input=%d known=%s conflict=%s", receipt.input_id, receipt.known, receipt.conflict)

    def _refuse(self, code: int, reason: str, counted: str) -> Dataset:
        log.warning("refused: feed=dicom status=%04X reason=%s", code, reason)
        self.door.intake.refused("dicom", counted)
        return _status(code, reason)


def _status(code: int, comment: str) -> Dataset:
    """ErrorComment has 64 characters at most (VR LO)."""
    status = Dataset()
    status.Status = code
    status.ErrorComment = comment[:64]
    return status
