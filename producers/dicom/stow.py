"""STOW-RS (DICOM PS3.18 section 10.5): a multipart body → DICOM files → the answer. Knows no HTTP server."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus
from typing import Any

from producers.dicom.file import Instance, read_file
from producers.dicom.header import parse_header
from producers.dicom.instance import arrive
from producers.door import Door
from stream.arrival import Arrival, Receipt
from stream.errors import OutOfSpace, Refused, Temporary, Unsupported, Unwritable
from stream.facts import SOP_CLASS

#: Waiting for the ledger, in seconds.
ANSWER_SECONDS = 30

#: FailureReason (0008,1197), PS3.18 table 10.5.3-1 after PS3.4 B.2.3.
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

NOT_NOW = "not now: the receiver cannot store it, send again"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What became of one part. ``failure``: 0 or a FailureReason; without ``sop_instance`` the part could not be read.

    ``reason``: in words, of which 64 characters are told (ErrorComment, which PS3.18 allows and does not ask for).
    """

    sop_class: str = ""
    sop_instance: str = ""
    failure: int = 0
    reason: str = ""
    out_of_space: bool = False


def parse_multipart(body: bytes, content_type: str) -> list[bytes]:
    """The parts of a ``multipart/related`` body of ``application/dicom``, as they are.

    Raises Unsupported for any other media type, Refused when the body is not what it says.
    """
    stated = Message()
    stated["content-type"] = content_type
    boundary = stated.get_param("boundary")
    if stated.get_content_type() != "multipart/related" or stated.get_param("type", "application/dicom") != "application/dicom":
        raise Unsupported("only multipart/related of application/dicom is taken", where="Content-Type")
    if not isinstance(boundary, str) or not boundary.isascii():
        raise Refused("the multipart boundary is missing", where="Content-Type")
    before, *sections = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("ascii"))
    del before
    if not sections or not sections[-1].startswith(b"--"):
        raise Refused("the multipart body ends too early")
    parts = [_part(section) for section in sections[:-1]]
    if not parts:
        raise Refused("the multipart body has no parts")
    return parts


def _part(section: bytes) -> bytes:
    head, found, content = section.partition(b"\r\n\r\n")
    if not found:
        raise Refused("a part of the multipart body has no end of its header")
    stated = BytesParser().parsebytes(head.lstrip() + b"\r\n\r\n", headersonly=True)
    if stated.get("content-type") is not None and stated.get_content_type() != "application/dicom":
        raise Unsupported("only parts of application/dicom are taken", where="Content-Type")
    return content


def store_instances(door: Door, parts: Sequence[bytes], study: str = "", sender: str = "") -> tuple[int, dict[str, Any]]:
    """Store every part and wait for the ledger: the HTTP status and the body as DICOM JSON. Blocks.

    ``study``: where the request names one, instances of any other are not taken. ``sender``: the address that it came from.
    """
    waiting = [_hand(door, part, study, sender) for part in parts]
    return store_response(
        [one if isinstance(one, Stored) else _answer(door, part, *one) for part, one in zip(parts, waiting, strict=True)]
    )


def store_response(results: Sequence[Stored]) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the Store Instances Response Module: PS3.18 tables 10.5.3-1 and I.2-1."""
    stored = [_reference(one) for one in results if not one.failure]
    failed = [_reference(one) | _failure(one) for one in results if one.failure and one.sop_instance]
    unread = [_failure(one) for one in results if one.failure and not one.sop_instance]
    body: dict[str, Any] = {"00081190": {"vr": "UR"}}  # RetrieveURL, empty: we are no archive
    for tag, items in (("00081199", stored), ("00081198", failed), ("0008119A", unread)):
        if items:
            body[tag] = {"vr": "SQ", "Value": items}
    return _status(results), body


def _hand(door: Door, part: bytes, study: str, sender: str) -> Stored | tuple[Arrival, Future[Receipt]]:
    try:
        door.store.check_space(len(part))
        instance = read_file(part)
        if study and (stray := _stray(instance, study)):
            door.intake.refused("stow", "of another study", content=part, place="StudyInstanceUID")
            return stray
        arrival = arrive(door, instance, feed="stow", sender=sender)
    except Refused as error:
        door.intake.refused("stow", "cannot understand", content=part, place=error.where, words=error.reason)
        return Stored(failure=CANNOT_UNDERSTAND, reason=error.reason)
    except (Temporary, OSError) as error:
        return Stored(failure=OUT_OF_RESOURCES, reason=NOT_NOW, out_of_space=isinstance(error, OutOfSpace))
    return arrival, door.intake.submit(arrival)


def _stray(instance: Instance, study: str) -> Stored | None:
    """An instance that is not of the study which the request names."""
    header = parse_header(instance)
    if header.study == study:
        return None
    reason = "StudyInstanceUID is not the one that the request names"
    return Stored(sop_class=header.sop_class, sop_instance=header.sop_instance, failure=DOES_NOT_MATCH, reason=reason)


def _answer(door: Door, part: bytes, arrival: Arrival, answer: Future[Receipt]) -> Stored:
    stored = Stored(sop_class=getattr(arrival.asks[0], "facts", {}).get(SOP_CLASS, ""), sop_instance=arrival.sender_id)
    try:
        answer.result(ANSWER_SECONDS)
    except Unwritable as error:
        door.intake.keep_unwritable("stow", error, part)
        return replace(stored, failure=CANNOT_UNDERSTAND, reason=error.reason)
    except (Temporary, TimeoutError) as error:
        return replace(stored, failure=OUT_OF_RESOURCES, reason=NOT_NOW, out_of_space=isinstance(error, OutOfSpace))
    return stored


def _status(results: Sequence[Stored]) -> HTTPStatus:
    """Anything temporary makes the sender try all again: what is stored already is known then."""
    if any(one.out_of_space for one in results):
        return HTTPStatus.INSUFFICIENT_STORAGE
    if any(one.failure == OUT_OF_RESOURCES for one in results):
        return HTTPStatus.SERVICE_UNAVAILABLE
    failures = sum(bool(one.failure) for one in results)
    if not failures:
        return HTTPStatus.OK
    return HTTPStatus.CONFLICT if failures == len(results) else HTTPStatus.ACCEPTED


def _reference(one: Stored) -> dict[str, Any]:
    return {"00081150": {"vr": "UI", "Value": [one.sop_class]}, "00081155": {"vr": "UI", "Value": [one.sop_instance]}}


def _failure(one: Stored) -> dict[str, Any]:
    words = {"00000902": {"vr": "LO", "Value": [one.reason[:64]]}} if one.reason else {}
    return {**words, "00081197": {"vr": "US", "Value": [one.failure]}}
