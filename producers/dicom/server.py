"""What pynetdicom's server lacks for our use: quick sockets, time-outs that hold, cheap associations, logs without identifiers."""

import logging
import os
import select
import socket
import warnings
from contextlib import suppress
from queue import Queue
from socketserver import TCPServer
from typing import Any, Self

from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

log = logging.getLogger(__name__)

#: A PDU that claims more bytes is not read. Images come in the size that we offer; the request for an association may be longer.
LONGEST_PDU_BYTES = 2**20
#: The connection of a longer instance is closed: it would not fit into memory beside others.
LONGEST_INSTANCE_BYTES = 2**29

#: The longest that an association's thread waits before it looks whether it should end, in seconds.
WAIT_SECONDS = 0.05

#: The SOP class of C-ECHO.
VERIFICATION = "1.2.840.10008.1.1"

#: Where a sender offers several transfer syntaxes for one context, these are taken first, and these last.
_FIRST = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_LAST = ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


class Contexts(list[PresentationContext]):
    """What we accept. pynetdicom would copy it for every association, which takes longer than an image; nothing changes it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself."""
        return self


def storage_contexts() -> Contexts:
    """C-ECHO and every storage SOP class in every transfer syntax."""
    between = [syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in (*_FIRST, *_LAST)]
    syntaxes = [*_FIRST, *between, *_LAST]
    storage = [build_context(str(context.abstract_syntax), syntaxes) for context in AllStoragePresentationContexts]
    return Contexts([*storage, build_context(VERIFICATION)])


class WakingQueue(Queue[Any]):
    """What is to be sent; whoever puts something in wakes the thread that waits for the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put and wake."""
        super().put(item, block, timeout)
        os.eventfd_write(self.bell, 1)

    def __del__(self) -> None:
        """The association has ended."""
        os.close(self.bell)


class QuickSocket(AssociationSocket):
    """Reads a PDU in as few pieces as the network gives (pynetdicom: 4 kB each), and nothing that is huge.

    Waits for the peer or for something to send, instead of looking for both a thousand times a second.
    """

    @property
    def ready(self) -> bool:
        """Whether there is something to read; waits for it while there is nothing else to do."""
        queue = self.assoc.dul.to_provider_queue
        if self.socket is None or not self._is_connected or not isinstance(queue, WakingQueue):
            return bool(super().ready)
        waited: list[Any] = [self.socket, queue.bell]
        wait = WAIT_SECONDS if self.event_queue.empty() and queue.empty() else 0
        try:
            found, _, _ = select.select(waited, [], [], wait)
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # the connection was closed: PS3.8 table 9-10
            return False
        if queue.bell in found:
            os.eventfd_read(queue.bell)
        return self.socket in found

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, or fewer when the connection closes; raises OSError when that is too many, or it is silent too long."""
        message = self.assoc.dimse.message
        if nr_bytes > LONGEST_PDU_BYTES or (message and message.data_set and message.data_set.tell() > LONGEST_INSTANCE_BYTES):
            raise OSError("more than is ever read")
        received = bytearray(nr_bytes)
        view, at = memoryview(received), 0
        if self.socket is None:
            return received[:0]
        while at < nr_bytes:
            count = self.socket.recv_into(view[at:])
            if not count:
                return received[:at]
            at += count
        return received

    def _shutdown_socket(self) -> None:
        """Closes also where the peer has gone first; pynetdicom leaves such a socket open."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


class QuickRequest(RequestHandler):
    """Makes an association that reads by QuickSocket."""

    def _create_association(self) -> Association:
        association = super()._create_association()
        association.dul.event_queue.get_nowait()  # "connected", which the other socket says again
        association.dul.to_provider_queue = WakingQueue()
        association.dul._run_loop_delay = 0  # noqa: SLF001 - it waits in QuickSocket
        association.dul.socket = QuickSocket(association, client_socket=self.request)
        return association


class Server(ThreadedAssociationServer):
    """Listens; each association is a thread of its own."""

    request_queue_size = 64

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection that answers at once and does not wait for ever for the rest of a PDU."""
        client, address = super().get_request()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(self.ae.network_timeout)
        return client, address

    def shutdown(self) -> None:
        """End ``serve_forever`` and close the port; pynetdicom's own also looks for us in a list that we are not in."""
        TCPServer.shutdown(self)
        self.server_close()


def silence_libraries() -> None:
    """The log lines and warnings of both quote what was sent: only that something failed, and where, goes into our log."""
    warnings.filterwarnings("ignore", module=r"pydicom|pynetdicom")
    for name in ("pynetdicom", "pydicom"):
        library = logging.getLogger(name)
        library.setLevel(logging.ERROR)
        library.propagate = False
        if not any(isinstance(one, _Failures) for one in library.handlers):
            library.addHandler(_Failures())


class _Failures(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """The error's class alone: its message may hold what was sent."""
        if record.exc_info and record.exc_info[0]:
            log.error("a DICOM library failed: error=%s at=%s:%d", record.exc_info[0].__name__, record.module, record.lineno)
