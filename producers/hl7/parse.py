"""HL7 v2: the bytes of one message → what it asks of the ledger. Knows no socket."""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime

from producers.door import Door
from producers.hl7.message import Message, read_message
from producers.hl7.moves import read_movement
from producers.hl7.notes import NOT_LISTED, read_document, read_texts
from producers.hl7.reading import Reading
from producers.hl7.results import read_results
from stream.arrival import Arrival, Ask
from stream.errors import Unsupported
from stream.feeds import FeedConfig

#: The feed whose table says what messages mean, and in which bare numbers are good.
NAME = "hl7"

#: Why a sender that is not on the feed's list is refused.
NOT_ALLOWED = "sender not allowed"

_VERSION = re.compile(r"2\.[1-9](\.\d+)?")
_EVENTS = {
    "ADT": re.compile(r"[A-Z]\d\d"),
    "ORU": re.compile(r"R01"),
    "MDM": re.compile(r"T(0[1-9]|1[01])"),
}


def parse_message(frame: bytes, *, door: Door, feed: str = "hl7", received_at: datetime) -> Arrival:
    """Read one message of the types ADT, ORU^R01 and MDM, and make its bytes durable.

    An empty MSH-11 is read as P, an empty MSH-12 as any version; an ORU without a trigger event as R01, an ADT or MDM
    without one by EVN-1. Raises Refused for its content, Unsupported for its sender, MSH-9, MSH-11 or
    MSH-12, Temporary without space.
    """
    config = door.feeds.feed(NAME)
    message = read_message(frame, config.character_set)
    _check_sender(message, config)
    kind, event = _supported(message)
    reading = Reading(message, NAME, config, door.feeds, door.identities, door.store, received_at)
    patient_key = reading.patient_key
    asks, not_used = _READERS[kind](reading, event)
    kept = as_kept(frame)
    return Arrival(
        feed=feed,
        identity=_identity(reading, kept),
        sender_id=message.control_id,
        content=door.store.put(kept),
        patient_key=patient_key,
        lane=reading.lane,
        asks=tuple(asks),
        not_used="" if asks else not_used,
    )


def _check_sender(message: Message, config: FeedConfig) -> None:
    """MSH-3 or MSH-4 is on the feed's list, where it has one; raises Unsupported."""
    allowed = config.allowed_senders
    if allowed and not allowed & {message.header.text(3), message.header.text(4)}:
        raise Unsupported(NOT_ALLOWED, where="MSH^1^3")


def _supported(message: Message) -> tuple[str, str]:
    """Message type and trigger event; raises Unsupported."""
    header = message.header
    kind, event = header.text(9).upper(), header.text(9, 2).upper() or message.first("EVN").text(1).upper()
    if header.text(12) and not _VERSION.fullmatch(header.text(12)):
        raise Unsupported("version not supported", where="MSH^1^12")
    if header.text(11).upper() not in {"P", ""}:
        raise Unsupported("processing id not supported", where="MSH^1^11")
    if kind not in _EVENTS:
        raise Unsupported("message type not supported", where="MSH^1^9^1^1")
    if kind == "ORU" and not event:
        event = "R01"
    if not _EVENTS[kind].fullmatch(event):
        raise Unsupported("event not supported", where="MSH^1^9^1^2")
    return kind, event


def as_kept(frame: bytes) -> bytes:
    """A message with one kind of line end, so that the same one over MLLP and in a folder is one input."""
    return re.sub(rb"[\r\n]+", b"\r", frame.removeprefix(b"\xef\xbb\xbf").strip()) + b"\r"


def _identity(reading: Reading, kept: bytes) -> str:
    digest = hashlib.sha256(kept.removesuffix(b"\r")).hexdigest()
    message = reading.message
    if not message.control_id:
        return f"hl7:{digest}"
    sent = reading.identities.digest("message", message.header.text(3), message.header.text(4), message.control_id)
    return f"hl7:{sent}:{digest}"


_Asked = tuple[list[Ask], str]


def _read_oru(reading: Reading, _event: str) -> _Asked:
    """Numbers and texts of one message are both asked for in one arrival."""
    added = read_results(reading)
    texts, reason = read_texts(reading)
    asks = [*([added] if added else []), *texts]
    return asks, reason or _nothing(reading)


def _nothing(reading: Reading) -> str:
    texts = any(segment.text(2).upper() in {"TX", "FT", "ED"} for segment in reading.message.all("OBX"))
    return NOT_LISTED if texts else "no result with a number"


def _read_mdm(reading: Reading, event: str) -> _Asked:
    ask, reason = read_document(reading, event)
    return [ask] if ask else [], reason


def _read_adt(reading: Reading, event: str) -> _Asked:
    ask, reason = read_movement(reading, event)
    return [ask] if ask else [], reason


_READERS: dict[str, Callable[[Reading, str], _Asked]] = {"ADT": _read_adt, "ORU": _read_oru, "MDM": _read_mdm}
