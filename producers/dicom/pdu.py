"""The protocol data units of DICOM's upper layer, PS3.8 section 9.3: bytes ↔ values. Knows no socket."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

ASSOCIATE_REQUEST, ASSOCIATE_ACCEPT, ASSOCIATE_REJECT, DATA, RELEASE_REQUEST, RELEASE_ANSWER, ABORT = range(1, 8)

#: Type, reserved, length of what follows.
HEADER = struct.Struct(">BBL")
#: A fragment's length, presentation context and control header.
_FRAGMENT = struct.Struct(">LBB")

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLEMENTATION_CLASS_UID = "2.25.218417526905733263142398214670186437297"
IMPLEMENTATION_VERSION = "DXSTREAM"

_ITEM = struct.Struct(">BBH")
_CONTEXT_REQUEST, _CONTEXT_ANSWER, _APPLICATION, _ABSTRACT, _TRANSFER, _USER = 0x20, 0x21, 0x10, 0x30, 0x40, 0x50
_MAX_LENGTH, _CLASS_UID, _VERSION_NAME = 0x51, 0x52, 0x55
#: What stands before the items of a request or an acceptance: version, reserved, both titles, reserved.
_FIXED = struct.Struct(">HH16s16s32s")


class BadPdu(Exception):
    """Not what PS3.8 describes: the association is aborted."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One presentation context that is asked for."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Request:
    """An A-ASSOCIATE-RQ. ``titles`` are both AE titles as sent, to be sent back; ``max_length`` 0: the peer takes any."""

    version: int
    titles: bytes
    application_context: str
    proposals: Sequence[Proposal]
    max_length: int

    @property
    def calling(self) -> str:
        """The calling AE title."""
        return self.titles[16:].decode("ascii", "replace").strip(" \0")


@dataclass(frozen=True)
class Fragment:
    """One presentation data value: a piece of a command or of a dataset."""

    context_id: int
    is_command: bool
    is_last: bool
    content: memoryview


def parse_request(body: bytes) -> Request:
    """What stands in an A-ASSOCIATE-RQ after its header; raises BadPdu."""
    if len(body) < _FIXED.size:
        raise BadPdu("too short for an association request")
    version, _, called, calling, _ = _FIXED.unpack_from(body)
    application, proposals, max_length = "", [], 0
    for kind, content in _items(body[_FIXED.size :]):
        if kind == _APPLICATION:
            application = _uid(content)
        elif kind == _CONTEXT_REQUEST:
            proposals.append(_proposal(content))
        elif kind == _USER:
            max_length = _max_length(content)
    return Request(
        version=version, titles=called + calling, application_context=application, proposals=proposals, max_length=max_length
    )


def _proposal(content: bytes) -> Proposal:
    if len(content) < 4:
        raise BadPdu("too short for a presentation context")
    parts = list(_items(content[4:]))
    return Proposal(
        context_id=content[0],
        abstract_syntax=next((_uid(value) for kind, value in parts if kind == _ABSTRACT), ""),
        transfer_syntaxes=[_uid(value) for kind, value in parts if kind == _TRANSFER],
    )


def _max_length(content: bytes) -> int:
    values = [value for kind, value in _items(content) if kind == _MAX_LENGTH and len(value) == 4]
    return int.from_bytes(values[0], "big") if values else 0


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(content):
        if at + _ITEM.size > len(content):
            raise BadPdu("an item ends too early")
        kind, _, length = _ITEM.unpack_from(content, at)
        at += _ITEM.size
        if at + length > len(content):
            raise BadPdu("an item ends too early")
        yield kind, content[at : at + length]
        at += length


def _uid(content: bytes) -> str:
    return content.decode("ascii", "replace").strip(" \0")


def accept_pdu(request: Request, results: Mapping[int, tuple[int, str]], max_length: int) -> bytes:
    """An A-ASSOCIATE-AC; ``results``: context → result (PS3.8 table 9-18) and transfer syntax."""
    contexts = [
        _item(_CONTEXT_ANSWER, bytes((context_id, 0, result, 0)) + _item(_TRANSFER, syntax.encode("ascii")))
        for context_id, (result, syntax) in results.items()
    ]
    user = (
        _item(_MAX_LENGTH, struct.pack(">L", max_length)),
        _item(_CLASS_UID, IMPLEMENTATION_CLASS_UID.encode("ascii")),
        _item(_VERSION_NAME, IMPLEMENTATION_VERSION.encode("ascii")),
    )
    fixed = _FIXED.pack(1, 0, request.titles[:16], request.titles[16:], bytes(32))
    application = _item(_APPLICATION, APPLICATION_CONTEXT.encode("ascii"))
    return _pdu(ASSOCIATE_ACCEPT, b"".join((fixed, application, *contexts, _item(_USER, b"".join(user)))))


def reject_pdu(result: int, source: int, reason: int) -> bytes:
    """An A-ASSOCIATE-RJ, PS3.8 table 9-21."""
    return _pdu(ASSOCIATE_REJECT, bytes((0, result, source, reason)))


def release_pdu() -> bytes:
    """An A-RELEASE-RP."""
    return _pdu(RELEASE_ANSWER, bytes(4))


def abort_pdu() -> bytes:
    """An A-ABORT of the service provider's, without a reason."""
    return _pdu(ABORT, bytes((0, 0, 2, 0)))


def _item(kind: int, content: bytes) -> bytes:
    return _ITEM.pack(kind, 0, len(content)) + content


def _pdu(kind: int, body: bytes) -> bytes:
    return HEADER.pack(kind, 0, len(body)) + body


def fragments(body: memoryview) -> Iterator[Fragment]:
    """The presentation data values of a P-DATA-TF; raises BadPdu."""
    at = 0
    while at < len(body):
        if at + _FRAGMENT.size > len(body):
            raise BadPdu("a fragment ends too early")
        length, context_id, control = _FRAGMENT.unpack_from(body, at)
        end = at + 4 + length
        if length < 2 or end > len(body):
            raise BadPdu("a fragment ends too early")
        yield Fragment(context_id, bool(control & 1), bool(control & 2), body[at + 6 : end])
        at = end


def command_pdus(context_id: int, command: bytes, max_length: int) -> bytes:
    """A command in as many P-DATA-TF as the peer wants; a ``max_length`` of 0 is any."""
    room = max(max_length - _FRAGMENT.size, 64) if max_length else len(command)
    pieces = [command[at : at + room] for at in range(0, len(command), room)]
    return b"".join(
        _pdu(DATA, _FRAGMENT.pack(len(piece) + 2, context_id, 1 | (number == len(pieces)) << 1) + piece)
        for number, piece in enumerate(pieces, start=1)
    )
