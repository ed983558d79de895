"""Documents: MDM^T01 to T11, and the texts of an ORU^R01 whose type is on the list."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from producers.hl7.embedded import read_embedded
from producers.hl7.message import Segment
from producers.hl7.observation import REMOVED, WITHOUT_VALUE
from producers.hl7.reading import Reading
from producers.hl7.times import first_moment
from producers.hl7.values import is_numeric
from producers.note_text import clean_text, is_note
from stream import facts
from stream.arrival import Ask, CancelNote, WriteNote
from stream.content import Content
from stream.errors import Refused, Unsupported

NOT_LISTED = "document type is not on the list"
NOT_A_NOTE = "not a note"
NO_DOCUMENT = "a status without a document"

_WITH_CONTENT = {"T02", "T04", "T06", "T08", "T10"}
_REPLACEMENT = {"T09", "T10"}
_CANCEL = "T11"
_WAITS = {"DI", "IN", "IP"}  # TXA-17, table 0271: dictated, incomplete, in progress
_UNAVAILABLE = "UN"  # TXA-19, table 0273
_DELETED = "CA"
_TEXTS = {"TX", "FT", "ST"}


def read_document(reading: Reading, event: str) -> tuple[Ask | None, str]:
    """What an MDM message asks, or None with the reason. Raises Refused without TXA, or for a document that cannot be read.

    TXA-19 OB (obsolete) asks nothing of its own: the T10 that replaced the document has superseded it.
    """
    document = next(reading.message.all("TXA"), None)
    if document is None:
        raise Refused("no TXA segment", where="TXA")
    key = _document_key(reading, document, event)
    if event == _CANCEL or document.text(19).upper() == _DELETED:
        return CancelNote(case_key=key, version_at=reading.recorded_at), ""
    kind = _listed(reading, [document.text(2), document.text(2, 4), *_codes(reading.message.all("OBX"))])
    if kind is None and (event in _WITH_CONTENT or document.text(2)):
        return None, NOT_LISTED
    text, why = _text(reading.message.all("OBX")) if event in _WITH_CONTENT else (None, "")
    if why:
        return None, why
    available = document.text(17).upper() not in _WAITS and document.text(19).upper() != _UNAVAILABLE
    written = _first(reading, *(document.text(field) for field in (4, 6, 7)))
    note = _note(reading, key, text, kind, written, available=available)
    return replace(note, known_as=_known_as(reading, document, key, event), version_at=reading.recorded_at), ""


def _document_key(reading: Reading, document: Segment, event: str) -> str:
    """A replacement goes by its parent's number (TXA-13), so that it supersedes; all else, addenda too, by its own (TXA-12)."""
    fields = (13, 12, 16) if event in _REPLACEMENT else (12, 16)
    number = next((document.text(field) for field in fields if document.text(field)), "")
    return _key(reading, number or reading.message.control_id or reading.message.header.text(7))


def _known_as(reading: Reading, document: Segment, key: str, event: str) -> str:
    """The case key that a replacement's own number (TXA-12) makes: later messages may name it alone."""
    own = _key(reading, document.text(12)) if event in _REPLACEMENT and document.text(12) else ""
    return own if own != key else ""


def _key(reading: Reading, *parts: str) -> str:
    return "note:" + reading.identities.digest("document", reading.message.sender, *parts)


def _listed(reading: Reading, codes: Iterable[str]) -> str | None:
    """The LOINC code of the first of ``codes`` that is an allow-listed document type."""
    return next((loinc for code in codes if code and (loinc := reading.feeds.documents.get(code.upper()))), None)


def _codes(segments: Iterable[Segment]) -> list[str]:
    return [code for segment in segments for code in (segment.text(3), segment.text(3, 4))]


def _note(
    reading: Reading, key: str, text: str | None, kind: str | None, written: datetime | None, *, available: bool = True
) -> WriteNote:
    known = {facts.DOCUMENT_TYPE: kind, facts.LANGUAGE: reading.language}
    return WriteNote(
        case_key=key,
        text=_content(reading, text) if text is not None else None,
        facts=reading.facts_at(written or reading.received_at, known),
        available=available,
        acquired_at=written,
    )


def _content(reading: Reading, text: str) -> Content:
    return reading.store.put(text.encode("utf-8"))


def _text(segments: Iterable[Segment]) -> tuple[str, str]:
    """The lines of every OBX that holds text, in order; where that is no note, why."""
    lines: list[str] = []
    why = NOT_A_NOTE
    for segment in segments:
        try:
            lines += _lines(segment)
        except Unsupported as error:
            why = error.reason
    text = clean_text("\n".join(lines))
    return text, "" if is_note(text) else why


def _lines(segment: Segment) -> list[str]:
    kind = segment.text(2).upper()
    if segment.text(11).upper() in REMOVED | WITHOUT_VALUE:
        return []
    if kind in _TEXTS:
        return [segment.unescaped(one) for one in segment.repetitions(5)]
    if kind == "ED":
        return [read_embedded(segment, one) for one in segment.repetitions(5)]
    return []


@dataclass
class _Report:
    """The text of one document in an ORU, gathered over its OBX."""

    kind: str
    written: datetime | None
    version_at: datetime | None
    segments: list[Segment] = field(default_factory=list)


def read_texts(reading: Reading) -> tuple[list[Ask], str]:
    """What the texts of an ORU^R01 ask, and why a text asks nothing."""
    asks: list[Ask] = []
    reason = ""
    for key, report in _reports(reading).items():
        text, why = _text(report.segments)
        if all(segment.text(11).upper() in REMOVED for segment in report.segments):
            asks.append(CancelNote(case_key=key, version_at=report.version_at))
        elif not why:
            note = _note(reading, key, text, report.kind, report.written)
            asks.append(replace(note, version_at=report.version_at))
        else:
            reason = why
    return asks, reason


def _reports(reading: Reading) -> dict[str, _Report]:
    """By case key: the allow-listed texts under each OBR; several OBR of one order number are one document."""
    reports: dict[str, _Report] = {}
    order, place = Segment("OBR", reading.message.header.separators, reading.message.codec), 0
    for segment in reading.message.segments:
        if segment.name == "OBR":
            order, place = segment, place + 1
        if segment.name != "OBX" or segment.text(2).upper() not in _TEXTS | {"ED"} or is_numeric(segment):
            continue
        kind = _listed(reading, [order.text(24), *_codes([segment])])
        if kind:
            number = order.text(3)
            key = _key(reading, number) if number else _key(reading, reading.message.control_id, str(place))
            written = _first(reading, segment.text(14), order.text(7), order.text(22))
            report = reports.setdefault(key, _Report(kind, written, _first(reading, order.text(22))))
            report.segments.append(segment)
    return reports


def _first(reading: Reading, *times: str) -> datetime | None:
    moment = first_moment(times, reading.config.time_zone, reading.received_at)
    return moment.at if moment else None
