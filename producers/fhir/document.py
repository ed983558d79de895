"""DocumentReference and DiagnosticReport → notes: allow-listed types whose text travels with the resource."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from producers.fhir.around import Around, local_name, split_address
from producers.fhir.attachment import read_text
from producers.fhir.elements import Element, canonical, codings, element, elements, required_text, resource_id, sha256, text
from producers.fhir.patient import Person, read_facts
from producers.fhir.times import first_moment, last_updated
from producers.note_text import clean_text, is_note
from stream import facts
from stream.arrival import CancelNote, WriteNote
from stream.errors import Refused

#: Statuses of a document and of a report that say that it must no longer be used.
CANCELLED = {"entered-in-error", "cancelled"}
#: Of a document whose replacement is to be used.
_SUPERSEDED = "superseded"
_UNRELEASED = ("preliminary", "partial", "registered")

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")

NoteAsks = tuple[WriteNote | CancelNote, ...]


def read_document(document: Element, person: Person, around: Around) -> NoteAsks | str:
    """What a DocumentReference asks, or why it asks nothing. Raises Refused, naming the element."""
    status = required_text(document, "status", "DocumentReference.status")
    case_key, version_at = _case_key(document, around), last_updated(document, around.feed.time_zone, around.received_at)
    if CANCELLED & {status, text(document, "docStatus")} or status == _SUPERSEDED:
        return (CancelNote(case_key=case_key, version_at=version_at),)
    if status != "current":
        return "its status is not current"
    loinc = _listed_type(element(document, "type"), around)
    if not loinc:
        return "document type is not on the list"
    attachments = [element(content, "attachment") for content in elements(document, "content")]
    words, why = read_text(attachments, "DocumentReference.content", ".attachment", around)
    if not words:
        return why
    names = ("date", "indexed", "created")
    acquired = first_moment(document, names, around.feed.time_zone, around.received_at) or _created(attachments, around)
    known = {facts.DOCUMENT_TYPE: loinc, **_language(document, attachments)}
    available = text(document, "docStatus") not in _UNRELEASED
    note = _note(document, person, around, words=words, case_key=case_key, known=known, acquired=acquired, available=available)
    return note if isinstance(note, str) else (note, *_replaced(document, around))


def read_report(report: Element, person: Person, around: Around) -> NoteAsks | str:
    """What the text of a DiagnosticReport asks, or why it asks nothing. Raises Refused, naming the element."""
    status = required_text(report, "status", "DiagnosticReport.status")
    if not isinstance(report.get("code"), dict):
        raise Refused("code is missing or no CodeableConcept", where="DiagnosticReport.code")
    loinc = _listed_type(element(report, "code"), around)
    if not loinc:
        return "its results come as Observations"
    case_key = _case_key(report, around)
    if status in CANCELLED:
        return (CancelNote(case_key=case_key, version_at=last_updated(report, around.feed.time_zone, around.received_at)),)
    attachments = elements(report, "presentedForm")
    words, why = read_text(attachments, "DiagnosticReport.presentedForm", "", around)
    words = words or clean_text(text(report, "conclusion"))
    if not words:
        return why
    acquired = first_moment(report, ("effectiveDateTime", "issued"), around.feed.time_zone, around.received_at)
    known = {facts.DOCUMENT_TYPE: loinc, **_language(report, attachments)}
    available = status not in _UNRELEASED
    note = _note(report, person, around, words=words, case_key=case_key, known=known, acquired=acquired, available=available)
    return note if isinstance(note, str) else (note,)


def _note(
    resource: Element,
    person: Person,
    around: Around,
    *,
    words: str,
    case_key: str,
    known: Mapping[str, Any],
    acquired: datetime | None,
    available: bool,
) -> WriteNote | str:
    if not person.key:
        return "no patient is named"
    if not is_note(words):
        return "not a note: too short, or only a pointer to one"
    return WriteNote(
        case_key=case_key,
        text=around.door.store.put(words.encode("utf-8", "replace")),
        facts=read_facts(person.patient, around.feed, acquired or around.received_at, known),
        available=available,
        acquired_at=acquired,
        version_at=last_updated(resource, around.feed.time_zone, around.received_at),
    )


def _case_key(document: Element, around: Around) -> str:
    """The case of a document: by its own identifier, which stays the same on every server, else by its id."""
    identifiers = (element(document, "masterIdentifier"), *elements(document, "identifier"))
    named = next((one for one in identifiers if text(one, "value")), None)
    if named is not None:
        return _key(text(named, "system") or around.holder, text(named, "value"), around)
    if resource_id(document):
        return _key(around.holder, local_name(document), around)
    return _key(around.holder, sha256(canonical(document)), around)


def _key(source: str, name: str, around: Around) -> str:
    return "note:" + around.door.identities.digest("document", source, name)


def _replaced(document: Element, around: Around) -> Iterator[CancelNote]:
    """The documents that this one replaces: each is a case of its own, so what was said of it is taken back.

    Without a date, since when this one was last updated says nothing of when the other was.
    """
    for related in elements(document, "relatesTo"):
        target = element(related, "target")
        if text(related, "code") != "replaces":
            continue
        if found := around.find(target, document):
            yield CancelNote(case_key=_case_key(found, around))
        elif text(element(target, "identifier"), "value"):
            yield CancelNote(case_key=_case_key({"masterIdentifier": target["identifier"]}, around))
        else:
            base, local = split_address(text(target, "reference"))
            if local:
                yield CancelNote(case_key=_key(base or around.holder, local, around))


def _listed_type(concept: Element, around: Around) -> str:
    """The LOINC code of an allow-listed document type; empty when it is not on the list."""
    documents = around.door.feeds.documents
    return next((documents[code.upper()] for _, code in codings(concept) if code.upper() in documents), "")


def _created(attachments: list[Element], around: Around) -> datetime | None:
    found = (first_moment(attachment, ("creation",), around.feed.time_zone, around.received_at) for attachment in attachments)
    return next((moment for moment in found if moment), None)


def _language(document: Element, attachments: list[Element]) -> dict[str, str]:
    """The language of the attachment, else of the resource, when it is written as BCP 47 has it."""
    written = (text(one, "language") for one in (*attachments, document))
    return next(({facts.LANGUAGE: language} for language in written if _LANGUAGE.fullmatch(language)), {})
