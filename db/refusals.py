"""What was refused, as it came: one row of ``refusals`` for one content of one feed, however often it is sent."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


_SHOWN = [column for column in refusals.c if column.name != "content"]


def list_refusals(connection: sa.Connection, *, feed: str = "", most: int = 100) -> list[dict[str, Any]]:
    """What was refused last, newest first, without its content."""
    query = sa.select(*_SHOWN).order_by(refusals.c.at.desc(), refusals.c.id.desc()).limit(most)
    if feed:
        query = query.where(refusals.c.feed == feed)
    return [dict(row) for row in connection.execute(query).mappings()]


def read_refusal(connection: sa.Connection, refusal_id: int) -> dict[str, Any] | None:
    """One refusal with its content; None where there is none of this number."""
    row = connection.execute(sa.select(refusals).where(refusals.c.id == refusal_id)).mappings().first()
    return dict(row) if row else None
