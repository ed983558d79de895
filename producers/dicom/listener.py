"""The port: a thread a connection, so many at once, all ended when the listener stops."""

import logging
import socket
import threading
import time
from collections.abc import Callable

from producers.dicom import pdu
from producers.dicom.association import TOO_MANY, Conversation, Rejected, Store, greet
from producers.dicom.pdu import BadPdu
from producers.dicom.wire import Gone, Silent, Wire

log = logging.getLogger(__name__)

#: Connections that wait to be accepted.
BACKLOG = 128
#: Connections beyond the associations that are granted still hear why not; beyond these they are closed.
SPARE = 32
#: After a connection could not be accepted (too many open files), in seconds.
REST_SECONDS = 0.1


class Listener:
    """Accepts connections and serves each on a thread. ``admit``: why a calling AE title gets no association, None if it does."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        store: Store,
        admit: Callable[[str], tuple[int, int, int] | None],
        rejected: Callable[[], None],
        most: int,
        greeting_seconds: float,
        idle_seconds: float,
    ) -> None:
        self.store, self.admit, self.rejected = store, admit, rejected
        self.most, self.greeting_seconds, self.idle_seconds = most, greeting_seconds, idle_seconds
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket = socket.create_server(address, family=family, backlog=BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._wires: dict[Wire, threading.Thread] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._accept, name="dicom", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port, then the associations: an instance without an answer is sent again by its sender."""
        self._stopping = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        except OSError:
            log.debug("the port was closed already")
        self._thread.join(timeout=5)
        self._socket.close()
        with self._lock:
            threads = dict(self._wires)
        for wire in threads:
            wire.cut()
        for thread in threads.values():
            thread.join(timeout=5 / len(threads))

    def _accept(self) -> None:
        while not self._stopping:
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if not self._stopping:
                    log.warning("a connection could not be accepted: error=%s", type(error).__name__)
                    time.sleep(REST_SECONDS)
                continue
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        wire = Wire(connection, seconds=self.greeting_seconds)
        thread = threading.Thread(target=self._talk, args=(wire,), name="association", daemon=True)
        with self._lock:
            if len(self._wires) >= self.most + SPARE:
                connection.close()
                return
            self._wires[wire] = thread
        thread.start()

    def _talk(self, wire: Wire) -> None:
        last = pdu.abort_pdu()
        try:
            last = self._converse(wire)
        except Rejected as error:
            self.rejected()
            last = pdu.reject_pdu(*error.args)
        except BadPdu as error:
            log.warning("an association is aborted: feed=dicom reason=%s", error)
        except Silent:
            log.info("an association is aborted: feed=dicom reason=it was silent")
        except Gone:
            last = b""
        finally:
            wire.end(pdu.abort_pdu() if self._stopping else last)
            with self._lock:
                self._wires.pop(wire, None)

    def _converse(self, wire: Wire) -> bytes:
        request, agreed = greet(wire, self._admit)
        wire.set_timeout(self.idle_seconds)
        return Conversation(wire, request, agreed, self.store).run()

    def _admit(self, sender: str) -> tuple[int, int, int] | None:
        with self._lock:
            full = len(self._wires) > self.most
        return TOO_MANY if full else self.admit(sender)
