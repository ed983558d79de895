"""One DICOM instance and its file in the one form that we keep: the same dataset over any feed has the same digest.

The form: 128 zeros, ``DICM``, a File Meta group of our own (PS3.10 section 7.1), the dataset's bytes as received.
"""

import struct
from dataclasses import dataclass

from stream.errors import Refused

#: Stands in every file that we write, and never changes: it is part of the digest.
IMPLEMENTATION_CLASS_UID = "2.25.218417526905733263142398214670186437297"

_PREAMBLE = bytes(128) + b"DICM"
_LONG = frozenset({b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"UR", b"UC"})
#: Elements of group 0002.
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX, _IMPLEMENTATION = 0x0002, 0x0003, 0x0010, 0x0012


@dataclass(frozen=True, kw_only=True)
class Instance:
    """What a sender gave: the dataset in its transfer syntax; by C-STORE also the identifiers announced beside it."""

    transfer_syntax: str
    dataset: bytes
    sop_class: str = ""
    sop_instance: str = ""


def write_file(instance: Instance, *, sop_class: str, sop_instance: str) -> bytes:
    """The canonical file; the identifiers are the dataset's own."""
    elements = b"".join(
        (
            b"\x02\x00\x01\x00OB\x00\x00\x02\x00\x00\x00\x00\x01",
            _uid(_SOP_CLASS, sop_class),
            _uid(_SOP_INSTANCE, sop_instance),
            _uid(_TRANSFER_SYNTAX, instance.transfer_syntax),
            _uid(_IMPLEMENTATION, IMPLEMENTATION_CLASS_UID),
        )
    )
    return b"".join((_PREAMBLE, struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(elements)), elements, instance.dataset))


def read_file(content: bytes) -> Instance:
    """The dataset of a DICOM file and its syntax; raises Refused when it is none.

    The identifiers in its File Meta group are not asked: anonymisers forget them, the dataset's own hold.
    """
    if content[128:132] != b"DICM":
        raise Refused("not a DICOM file: no DICM at byte 128")
    meta, start = _read_meta(content)
    syntax = meta.get(_TRANSFER_SYNTAX, b"").decode("ascii", "replace").strip(" \0")
    if not syntax:
        raise Refused("the File Meta group names no transfer syntax", where="TransferSyntaxUID")
    return Instance(transfer_syntax=syntax, dataset=content[start:])


def _read_meta(content: bytes) -> tuple[dict[int, bytes], int]:
    """The values of group 0002 by element, and where the dataset starts. The stated group length is not trusted."""
    meta: dict[int, bytes] = {}
    at = len(_PREAMBLE)
    while content[at : at + 2] == b"\x02\x00":
        try:
            element, vr, length = struct.unpack_from("<H2sH", content, at + 2)
            start = at + 8
            if vr in _LONG:
                (length,) = struct.unpack_from("<L", content, at + 8)
                start = at + 12
        except struct.error as error:
            raise Refused("the File Meta group ends too early") from error
        if start + length > len(content):
            raise Refused("the File Meta group ends too early")
        meta[element] = content[start : start + length]
        at = start + length
    return meta, at


def _uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii", "replace")
    value += bytes(len(value) % 2)
    return struct.pack("<HH2sH", 2, element, b"UI", len(value)) + value
