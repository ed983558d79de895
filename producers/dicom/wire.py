"""One connection as a stream of PDUs: bounded reads that do not wait for ever. Knows no DICOM service."""

import contextlib
import socket
import struct
import time

from producers.dicom.pdu import HEADER, BadPdu

#: A PDU that claims more bytes is not read. Images come in the size that we offer; a request for an association may be longer.
LONGEST_PDU_BYTES = 2**20
#: How long the peer is waited for to close after our last PDU, in seconds (PS3.8's ARTIM timer): it closes first, so that no end
#: or reset of ours overtakes that PDU.
LINGER_SECONDS = 2


class Gone(Exception):
    """The peer has closed the connection, or is silent: there is nobody to answer."""


class Silent(Gone):
    """Nothing came for too long."""


class Wire:
    """A connected socket that blocks; every read and write ends after its time-out."""

    def __init__(self, connection: socket.socket, *, seconds: float) -> None:
        self.connection = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.set_timeout(seconds)

    def set_timeout(self, seconds: float) -> None:
        """For each PDU, and for each write. The kernel's own time-out: Python's would make every read two system calls."""
        self._seconds = seconds
        limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.connection.setsockopt(socket.SOL_SOCKET, option, limit)

    def read_pdu(self) -> tuple[int, bytes]:
        """The type of the next PDU and what follows its header; raises Gone, BadPdu."""
        kind, _, length = HEADER.unpack(self._read(HEADER.size))
        if length > LONGEST_PDU_BYTES or not 1 <= kind <= 7:
            raise BadPdu("no PDU, or one that is longer than any that is read")
        return kind, self._read(length) if length else b""

    def _read(self, size: int) -> bytes:
        """So many bytes; as a rule one system call, which a stopped and continued process, or a debugger, cuts short."""
        until = time.monotonic() + self._seconds
        received = self._receive(size)
        while len(received) < size:
            more = self._receive(size - len(received)) if time.monotonic() < until else b""
            if not more:
                raise Silent
            received += more
        return received

    def _receive(self, size: int) -> bytes:
        """What comes of so many bytes; raises Gone when the peer has closed, Silent after the time-out."""
        try:
            received = self.connection.recv(size, socket.MSG_WAITALL)
        except BlockingIOError as error:
            raise Silent from error
        except OSError as error:
            raise Gone from error
        if not received:
            raise Gone
        return received

    def send(self, content: bytes) -> None:
        """Write all of it; raises Gone."""
        try:
            self.connection.sendall(content)
        except OSError as error:
            raise Gone from error

    def end(self, last: bytes = b"") -> None:
        """Say a last thing and wait for the peer to close (Sta13 of PS3.8 table 9-10), but not for ever; then close."""
        with contextlib.suppress(OSError):
            if last:
                self.set_timeout(LINGER_SECONDS)
                self.connection.sendall(last)
                until = time.monotonic() + LINGER_SECONDS
                while time.monotonic() < until and self.connection.recv(65536):
                    pass
        self.connection.close()

    def cut(self) -> None:
        """Wake whoever reads or writes; the connection's own thread closes it."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
