"""Which models are active: rows that the workers, the keeper and the console read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.tables import cards
from db.tally import insert_for


def record_cards(connection: sa.Connection, now: datetime, rows: Iterable[Mapping[str, Any]]) -> None:
    """Make known the cards of this installation; one that is new here becomes active, a known one stays as it is.

    A row has name, version, modality, digest and the card itself. Another version of a known name waits to be activated.
    Of several roles that start at once, the first one's row stands.
    """
    known = set(connection.execute(sa.select(cards.c.name)).scalars())
    add = insert_for(connection, cards).on_conflict_do_nothing(index_elements=["name"])
    for row in rows:
        if row["name"] not in known:
            connection.execute(add, {**row, "active": True, "changed_at": now})


def activate(connection: sa.Connection, now: datetime, row: Mapping[str, Any]) -> None:
    """This card answers from now on under its name; what was said before stays."""
    insert = insert_for(connection, cards)
    values = {**row, "active": True, "changed_at": now}
    update = {name: insert.excluded[name] for name in ("version", "modality", "digest", "active", "card", "changed_at")}
    connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=update), values)


def deactivate(connection: sa.Connection, now: datetime, name: str) -> bool:
    """No card of this name answers from now on; whether one did."""
    known = (cards.c.name == name) & cards.c.active
    return bool(connection.execute(sa.update(cards).where(known).values(active=False, changed_at=now)).rowcount)


def active_rows(connection: sa.Connection) -> Sequence[sa.RowMapping]:
    """The active cards."""
    return connection.execute(sa.select(cards).where(cards.c.active).order_by(cards.c.name)).mappings().all()
