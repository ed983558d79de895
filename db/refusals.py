"""What was refused, as it came: one row of ``refusals`` for one content of one feed, however often it is sent."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.tables import refusals
from db.tally import insert_for

#: Of a longer content only the beginning is kept, in bytes.
MOST_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """``reason`` and ``place`` are words of ours and of the protocol, never what was sent."""

    feed: str
    reason: str
    place: str
    content: bytes


def keep_refusals(connection: sa.Connection, now: datetime, kept: Sequence[Refusal]) -> None:
    """Write them; one that is known is counted, and its last reason and time stand."""
    rows = [
        {
            "feed": one.feed,
            "digest": hashlib.sha256(one.content).hexdigest(),
            "reason": one.reason,
            "place": one.place,
            "size": len(one.content),
            "content": one.content[:MOST_BYTES],
            "times": 1,
            "first_at": now,
            "at": now,
        }
        for one in kept
    ]
    insert = insert_for(connection, refusals)
    again = {name: insert.excluded[name] for name in ("reason", "place", "at")} | {"times": refusals.c.times + 1}
    connection.execute(insert.on_conflict_do_update(index_elements=["feed", "digest"], set_=again), rows)
