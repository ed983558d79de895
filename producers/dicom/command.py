"""DIMSE commands, PS3.7 annex E: the command sets of C-STORE and C-ECHO ↔ values. Always implicit VR little endian."""

import struct
from dataclasses import dataclass

from producers.dicom.pdu import BadPdu

STORE_REQUEST, ECHO_REQUEST, CANCEL = 0x0001, 0x0030, 0x0FFF
_ANSWER = 0x8000
#: CommandDataSetType of a message without a dataset.
_NO_DATASET = 0x0101

_SOP_CLASS, _FIELD, _MESSAGE_ID, _ANSWERED_ID, _PRIORITY, _DATASET_TYPE = 0x0002, 0x0100, 0x0110, 0x0120, 0x0700, 0x0800
_STATUS, _COMMENT, _SOP_INSTANCE = 0x0900, 0x0902, 0x1000

_ELEMENT = struct.Struct("<HHL")


@dataclass(frozen=True, kw_only=True)
class Command:
    """A request of a peer's."""

    field: int
    message_id: int
    sop_class: str = ""
    sop_instance: str = ""
    priority: int = 0
    has_dataset: bool = False


@dataclass(frozen=True)
class Status:
    """An answer's status; ErrorComment has 64 characters at most (VR LO)."""

    code: int
    comment: str = ""


def parse_command(content: bytes) -> Command:
    """A command set; raises BadPdu when it is none, or has no CommandField or MessageID."""
    values = _values(content)
    field = _number(values.get(_FIELD, b""))
    if field is None or (_number(values.get(_MESSAGE_ID, b"")) is None and field != CANCEL):
        raise BadPdu("a command without its field or its message id")
    return Command(
        field=field,
        message_id=_number(values.get(_MESSAGE_ID, b"")) or 0,
        sop_class=_text(values.get(_SOP_CLASS, b"")),
        sop_instance=_text(values.get(_SOP_INSTANCE, b"")),
        priority=_number(values.get(_PRIORITY, b"")) or 0,
        has_dataset=_number(values.get(_DATASET_TYPE, b"")) not in (None, _NO_DATASET),
    )


def answer_to(command: Command, status: Status) -> bytes:
    """The command set of the answer."""
    elements = [
        (_SOP_CLASS, _even(command.sop_class.encode("ascii", "replace"), b"\0")),
        (_FIELD, struct.pack("<H", command.field | _ANSWER)),
        (_ANSWERED_ID, struct.pack("<H", command.message_id)),
        (_DATASET_TYPE, struct.pack("<H", _NO_DATASET)),
        (_STATUS, struct.pack("<H", status.code)),
    ]
    if status.comment:
        elements.append((_COMMENT, _even(status.comment[:64].encode("ascii", "replace"), b" ")))
    if command.sop_instance:
        elements.append((_SOP_INSTANCE, _even(command.sop_instance.encode("ascii", "replace"), b"\0")))
    body = b"".join(_ELEMENT.pack(0, element, len(value)) + value for element, value in elements)
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def _values(content: bytes) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    at = 0
    while at < len(content):
        if at + _ELEMENT.size > len(content):
            raise BadPdu("a command ends too early")
        group, element, length = _ELEMENT.unpack_from(content, at)
        at += _ELEMENT.size
        if group or at + length > len(content):
            raise BadPdu("a command ends too early, or is none")
        values[element] = content[at : at + length]
        at += length
    return values


def _number(value: bytes) -> int | None:
    return int.from_bytes(value, "little") if len(value) == 2 else None


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)
