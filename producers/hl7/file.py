"""A file of HL7 v2 → arrivals: one message, several, or a batch in FHS, BHS, BTS, FTS."""

from datetime import datetime

from producers.door import Door
from producers.hl7.charset import split_batch
from producers.hl7.parse import as_kept, parse_message
from producers.refused_part import refused_part
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
            arrivals.append(refused_part(door.store.put(as_kept(message)), told, feed=feed, protocol="hl7"))
    if len(refused) == len(messages):
        raise refused[0]
    return arrivals


def _told(error: Refused, number: int, of: int) -> Refused:
    return error if of == 1 else Refused(f"message {number} of {of}: {error.reason}", where=error.where)
