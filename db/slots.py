"""Histograms and gauges of each role's process, kept in one bounded row a role so that a restart goes on counting."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.tables import slots
from db.tally import insert_for

#: Samples whose name ends so are added up over slots and restarts; the others are gauges that only rise (time stamps).
_SUMMED = ("_bucket", "_sum", "_count")

Samples = list[list[Any]]


class Slot:
    """One process's row. What it held before this process began is the base that this process adds to."""

    def __init__(self, connection: sa.Connection, name: str) -> None:
        self.name = name
        stored = connection.execute(sa.select(slots.c.samples).where(slots.c.name == name)).scalar()
        self._base: Samples = stored or []

    def write(self, connection: sa.Connection, now: datetime, samples: Samples) -> None:
        """Keep what this process has measured so far."""
        insert = insert_for(connection, slots)
        row = {"name": self.name, "samples": add_samples([self._base, samples]), "written_at": now}
        update = {"samples": insert.excluded.samples, "written_at": insert.excluded.written_at}
        connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=update), row)


def read_slots(connection: sa.Connection) -> Samples:
    """The sum over all slots of what is summed, the highest of each gauge."""
    return add_samples(list(connection.execute(sa.select(slots.c.samples)).scalars()))


def add_samples(many: list[Samples]) -> Samples:
    """One sample a name and labels: sums of counts, the highest of gauges."""
    total: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for samples in many:
        for name, labels, value in samples:
            key = (name, _key(labels))
            total[key] = total.get(key, 0.0) + value if name.endswith(_SUMMED) else max(total.get(key, value), value)
    return [[name, dict(labels), value] for (name, labels), value in total.items()]


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
