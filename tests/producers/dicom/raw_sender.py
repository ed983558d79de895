"""A sender that is nothing but bytes on a socket: what a library would never send can be sent, and nothing of it is ours."""

import socket
import struct
import time
from collections.abc import Sequence

IMPLICIT = b"1.2.840.10008.1.2"
EXPLICIT = b"1.2.840.10008.1.2.1"

RELEASE = struct.pack(">BBLL", 5, 0, 4, 0)


def element(number: int, value: bytes) -> bytes:
    value += bytes(len(value) % 2)
    return struct.pack("<HHL", 0, number, len(value)) + value


def part(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def associate(*classes: bytes, title: bytes = b"FUZZ", syntaxes: Sequence[bytes] = (EXPLICIT,)) -> bytes:
    """An A-ASSOCIATE-RQ with a context a SOP class: 1, 3, 5 …"""
    offered = b"".join(part(0x40, syntax) for syntax in syntaxes)
    contexts = [part(0x20, bytes((2 * place + 1, 0, 0, 0)) + part(0x30, one) + offered) for place, one in enumerate(classes)]
    user = part(0x51, struct.pack(">L", 16384)) + part(0x52, b"1.2.3")
    titles = b"DXSTREAM".ljust(16) + title.ljust(16) + bytes(32)
    body = struct.pack(">HH", 1, 0) + titles + part(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts) + part(0x50, user)
    return struct.pack(">BBL", 1, 0, len(body)) + body


def fragment(content: bytes, *, context: int = 1, command: bool = False, last: bool = True) -> bytes:
    return struct.pack(">LBB", len(content) + 2, context, command | last << 1) + content


def data_pdu(*fragments: bytes) -> bytes:
    body = b"".join(fragments)
    return struct.pack(">BBL", 4, 0, len(body)) + body


def store_command(sop_class: bytes, sop_instance: bytes, *, message: int = 1, field: int = 1, dataset: int = 1) -> bytes:
    body = b"".join(
        (
            element(0x0002, sop_class),
            element(0x0100, struct.pack("<H", field)),
            element(0x0110, struct.pack("<H", message)),
            element(0x0700, struct.pack("<H", 0)),
            element(0x0800, struct.pack("<H", dataset)),
            element(0x1000, sop_instance),
        )
    )
    return element(0, struct.pack("<L", len(body))) + body


def store(sop_class: bytes, sop_instance: bytes, dataset: bytes, *, piece: int = 16000) -> bytes:
    """A C-STORE request with its dataset in pieces."""
    pieces = [dataset[at : at + piece] for at in range(0, len(dataset), piece)] or [b""]
    sent = [data_pdu(fragment(one, last=number == len(pieces))) for number, one in enumerate(pieces, start=1)]
    return data_pdu(fragment(store_command(sop_class, sop_instance), command=True)) + b"".join(sent)


def talk(port: int, sent: bytes) -> tuple[bytes, float]:
    """Say all of it and nothing more; what was answered, and the seconds until the other side closed."""
    began = time.monotonic()
    heard = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while received := connection.recv(65536):
                heard += received
        except (ConnectionError, BrokenPipeError):
            pass  # it closed while we were talking: that is an answer too
    return bytes(heard), time.monotonic() - began


def kinds(heard: bytes) -> list[int]:
    """The types of the PDUs in an answer."""
    found = []
    while len(heard) >= 6:
        kind, _, length = struct.unpack_from(">BBL", heard)
        found.append(kind)
        heard = heard[6 + length :]
    return found


def statuses(heard: bytes) -> list[int]:
    """The Status of each DIMSE answer."""
    marked = struct.pack("<HHL", 0, 0x0900, 2)
    return [struct.unpack_from("<H", heard, at + 8)[0] for at in range(len(heard) - 9) if heard.startswith(marked, at)]
