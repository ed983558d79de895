"""Notes for the door, and what it has kept of them."""

import sqlalchemy as sa

from db.tables import inputs
from producers.door import Door
from stream.arrival import Arrival, WriteNote


def note(door: Door, name: str, **facts: object) -> Arrival:
    """One that has ``facts`` which are no JSON cannot be written."""
    text = door.store.put(f"text of {name}".encode())
    ask = WriteNote(case_key=f"note:{name}", text=text, facts=facts)
    return Arrival(feed="folder", identity=name, sender_id=name, content=text, asks=(ask,))


def kept(door: Door) -> list[str]:
    """The names of the notes in the ledger, in order."""
    with door.intake.database.read() as connection:
        return list(connection.execute(sa.select(inputs.c.sender_id).order_by(inputs.c.id)).scalars())
