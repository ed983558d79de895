"""Acknowledgements: MSH, MSA and, from version 2.5 on, ERR. Nothing of the patient's is ever in one.

Original mode: AA after the commit, AE for content, AR for what is not supported. Enhanced mode, where MSH-15 asks for an
accept acknowledgement: CA, CE, CR, and no second answer. Where only MSH-16 asks (MSH-15 empty or NE), AA, AE, AR.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from producers.hl7.message import Segment, Separators
from stream.arrival import RefusedPoint
from stream.errors import Refused, Unsupported

#: No answer names more points than this.
MOST_WARNINGS = 100

#: Table 0357.
_MEANINGS = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "207": "Application internal error",
}

#: The reasons of ours that table 0357 has a word for.
_CODES = {
    "no MSH segment": "100",
    "more than one message in one frame": "100",
    "more than one patient in one message": "100",
    "not exactly one MRG segment": "100",
    "no PID segment": "100",
    "no TXA segment": "100",
    "no patient identifier": "101",
    "no time of the movement": "101",
    "no unit": "101",
    "no value": "101",
    "no observation time": "101",
    "a date without a time": "102",
    "not a time": "102",
    "not a number": "102",
    "a ratio or a titre": "102",
    "more than one value": "102",
    "in the future": "102",
    "outside the physical range": "102",
    "its separators are ambiguous": "102",
    "a frame without an end": "102",
    "bytes outside a frame": "102",
    "a frame longer than the limit": "102",
    "its bytes do not fit its character set": "102",
    "an embedded document cannot be decoded": "102",
    "its character set is not known": "103",
    "it goes over to a further character set": "103",
    "unknown unit": "103",
    "status not taken": "103",
    "comparator not taken": "103",
    "no analyte has this code": "103",
    "sender not allowed": "103",
    "message type not supported": "200",
    "event not supported": "201",
    "processing id not supported": "202",
    "version not supported": "203",
}

_WITHOUT_LOCATION = re.compile(r"2\.[1-4](\.\d+)?")  # before 2.5, ERR has another shape
_USUAL = Separators.read("MSH|^~\\&|")


@dataclass(frozen=True)
class Header:
    """What an answer takes from the message it answers: MSH, or an empty segment where it cannot be read."""

    segment: Segment

    @property
    def enhanced(self) -> bool:
        """MSH-15 asks for an accept acknowledgement; with NE in both fields one is sent all the same."""
        accept, application = self.segment.text(15).upper(), self.segment.text(16).upper()
        return accept not in {"", "NE"} or (accept == "NE" and application in {"", "NE"})

    @property
    def wants_errors(self) -> bool:
        """ERR in the shape that names a location: from version 2.5 on."""
        return _WITHOUT_LOCATION.fullmatch(self.segment.text(12)) is None


def read_header(frame: bytes) -> Header:
    """MSH of any bytes, as Latin-1, so that what is echoed goes back byte for byte. Never raises."""
    line = re.split(rb"[\r\n]", frame.removeprefix(b"\xef\xbb\xbf").lstrip(), maxsplit=1)[0].decode("latin-1")
    try:
        if line.startswith("MSH"):
            return Header(Segment(line, Separators.read(line), "latin-1"))
    except Refused:
        pass
    return Header(Segment("MSH", _USUAL, "latin-1"))


def accepted(header: Header, frame: bytes, *, note: str = "", points: Sequence[RefusedPoint] = ()) -> bytes:
    """AA or CA; ``points`` were refused while the rest of the message was taken, ``note`` says why nothing is used."""
    text = note or (f"taken; {len(points)} points were refused" if points else "")
    errors = [_error(header, point.where or "OBX", point.reason, "W") for point in points[:MOST_WARNINGS]]
    return _answer(header, frame, "A", text, errors)


def refused(header: Header, frame: bytes, error: Refused) -> bytes:
    """AE or CE for content, AR or CR for what is not supported."""
    outcome = "R" if isinstance(error, Unsupported) else "E"
    return _answer(header, frame, outcome, error.reason, [_error(header, error.where, error.reason, "E")])


def _answer(header: Header, frame: bytes, outcome: str, text: str, errors: Sequence[str]) -> bytes:
    code = ("C" if header.enhanced else "A") + outcome
    acknowledged = _joined(header, ["MSA", code, header.segment.raw(10), text])
    segments = [_joined(header, _msh(header, frame)), acknowledged, *(errors if header.wants_errors else ())]
    return ("\r".join(segments) + "\r").encode("latin-1", "replace")


def _msh(header: Header, frame: bytes) -> Iterator[str]:
    """The sender's own separators and names, turned round; the control id follows from the frame: a resent one gets the same."""
    separators, raw = header.segment.separators, header.segment.raw
    trigger = raw(9).split(separators.component)[1:2] if separators.component else []
    kind = separators.component.join(["ACK", *trigger, "ACK"]) if trigger and trigger[0] else "ACK"
    made = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    control_id = hashlib.sha256(frame).hexdigest()[:20].upper()
    yield from ("MSH", separators.written, raw(5), raw(6), raw(3), raw(4), made, "", kind, control_id)
    yield from (raw(11) or "P", raw(12) or "2.5.1")
    if raw(18):
        yield from ("", "", "", "", "", raw(18))


def _error(header: Header, where: str, reason: str, severity: str) -> str:
    code = _CODES.get(reason, "207")
    component = header.segment.separators.component or " "
    location = where.replace("^", component)
    coded = component.join((code, _MEANINGS[code], "HL70357"))
    return _joined(header, ["ERR", "", location, coded, severity, "", "", "", reason])


def _joined(header: Header, fields: Sequence[str] | Iterator[str]) -> str:
    return header.segment.separators.field.join(fields).rstrip(header.segment.separators.field)
