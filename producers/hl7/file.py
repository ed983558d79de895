"""A file of HL7 v2 → arrivals: one message, several, or a batch in FHS, BHS, BTS, FTS."""

from datetime import datetime

from producers.door import Door
from producers.hl7.charset import split_batch
from producers.hl7.parse import as_kept, digest_of, parse_message
from stream.arrival import Arrival
from stream.errors import Refused


def parse_file(content: bytes, *, door: Door, received_at: datetime, feed: str) -> list[Arrival]:
    """The arrivals of a file; of several messages one that is refused becomes an arrival that says which it was and why.

    Raises Refused when none is taken, and Temporary without space.
    """
    messages = split_batch(content)
    arrivals: list[Arrival] = []
    refused: list[Refused] = []
    for number, message in enumerate(messages, start=1):
        try:
            arrivals.append(parse_message(message, door=door, feed=feed, received_at=received_at))
        except Refused as error:
            told = _told(error, number, len(messages))
            refused.append(told)
            arrivals.append(_refused_arrival(message, told, door, feed))
    if len(refused) == len(messages):
        raise refused[0]
    return arrivals


def _told(error: Refused, number: int, of: int) -> Refused:
    return error if of == 1 else Refused(f"message {number} of {of}: {error.reason}", where=error.where)


def _refused_arrival(message: bytes, error: Refused, door: Door, feed: str) -> Arrival:
    """Kept with the reason, so that nothing is passed over; the same message taken later is another input."""
    kept = as_kept(message)
    digest = digest_of(kept)
    place = f" ({error.where})" if error.where else ""
    return Arrival(
        feed=feed,
        identity=f"hl7:refused:{digest}",
        sender_id=digest[:16],
        content=door.store.put(kept),
        not_used=f"refused: {error.reason}{place}",
    )
