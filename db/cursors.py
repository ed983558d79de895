"""How far each polled server has been read: one moment a name, which only ever moves on."""

from datetime import datetime

import sqlalchemy as sa

from db.tables import cursors
from db.tally import insert_for


def read_cursor(connection: sa.Connection, name: str) -> datetime | None:
    """Where the next poll begins; None before the first."""
    return connection.execute(sa.select(cursors.c.position).where(cursors.c.name == name)).scalar()


def move_cursor(connection: sa.Connection, now: datetime, name: str, position: datetime) -> None:
    """Move on to ``position``, once all before it is committed; never back."""
    insert = insert_for(connection, cursors)
    forward = insert.on_conflict_do_update(
        index_elements=["name"],
        set_={"position": insert.excluded.position, "moved_at": insert.excluded.moved_at},
        where=cursors.c.position < insert.excluded.position,
    )
    connection.execute(forward, {"name": name, "position": position, "moved_at": now})
