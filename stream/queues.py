"""The nine queues: three modalities, each with three lanes, and the one Celery message that rings them."""

from enum import StrEnum

#: The name of the only Celery task there is; a producer rings it by name and imports nothing of the worker.
RING_TASK = "dxstream.ring"

#: How many event ids a ring carries as a hint; the ledger has them all.
MAX_HINTS = 100


class Modality(StrEnum):
    """What kind of thing is judged."""

    SCAN = "scan"
    LAB = "lab"
    NOTE = "note"


class Lane(StrEnum):
    """How urgent an event is, the most urgent first."""

    STAT = "stat"
    ROUTINE = "routine"
    BACKLOG = "backlog"


#: The order in which a worker claims; also stored with the event, so that one index serves the claim.
LANE_RANK = {Lane.STAT: 0, Lane.ROUTINE: 1, Lane.BACKLOG: 2}


def queue_name(modality: str, lane: str) -> str:
    """``scan.stat`` and so on: the Redis list and Celery queue of one modality and lane."""
    return f"{modality}.{lane}"


ALL_QUEUES = tuple(queue_name(modality, lane) for lane in Lane for modality in Modality)
