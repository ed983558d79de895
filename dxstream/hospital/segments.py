"""HL7 v2 text: the segments that every message of the simulated hospital begins with."""

from collections.abc import Iterable
from datetime import UTC, datetime

from dxstream.hospital.cases import HL7, Sending
from dxstream.hospital.people import AUTHORITY, Person

#: HL7 v2.5.1 chapter 2.7: the escape comes first, so that it is not escaped twice.
_ESCAPES = (("\\", "\\E\\"), ("|", "\\F\\"), ("^", "\\S\\"), ("~", "\\R\\"), ("&", "\\T\\"), ("\n", "\\.br\\"))


def stamp(at: datetime) -> str:
    """A time stamp to the second, with its offset."""
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%S+0000")


def escape(text: str) -> str:
    """Text as a field holds it."""
    for sign, written in _ESCAPES:
        text = text.replace(sign, written)
    return text


def segment(name: str, fields: dict[int, str]) -> str:
    """A segment from its fields by number."""
    return "|".join([name, *(fields.get(number, "") for number in range(1, max(fields) + 1))])


def message(kind: str, control_id: str, at: datetime, segments: Iterable[str]) -> Sending:
    """A whole message; ``kind`` as MSH-9 has it (``ORU^R01^ORU_R01``), ``control_id`` is MSH-10."""
    head = f"MSH|^~\\&|SIMWARD|{AUTHORITY}|DXSTREAM|SITE|{stamp(at)}||{kind}|{control_id}|P|2.5.1||||||UNICODE UTF-8"
    text = "\r".join([head, *segments]) + "\r"
    return Sending(protocol=HL7, sender_id=control_id, content=text.encode())


def patient(person: Person) -> str:
    """PID."""
    number = f"{person.number}^^^{AUTHORITY}^MR"
    return segment("PID", {1: "1", 3: number, 5: f"{person.family}^{person.given}", 7: f"{person.born:%Y%m%d}", 8: person.sex})


def visit(location: str, number: str, admitted: datetime) -> str:
    """PV1. ``location``: point of care (PV1-3.1); ``number``: of the visit (PV1-19)."""
    return segment("PV1", {1: "1", 2: "I", 3: f"{location}^01^A", 19: f"{number}^^^{AUTHORITY}^VN", 44: stamp(admitted)})
