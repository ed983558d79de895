"""Counters that survive kills and pruning: rows raised in the transaction that they count."""

import json
from collections import Counter
from collections.abc import Mapping
from functools import cache

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from db.rows import write_rows
from db.tables import tallies

#: (metric, label values) → by how much it rose.
Counts = Counter[tuple[str, tuple[str, ...]]]


def raise_tallies(connection: sa.Connection, slot: str, counts: Mapping[tuple[str, tuple[str, ...]], int]) -> None:
    """Add ``counts`` to the rows of ``slot``; call it last, so that a row is locked for as short as can be."""
    rows = [
        {"metric": metric, "labels": json.dumps(labels), "slot": slot, "value": value}
        for (metric, labels), value in sorted(counts.items())
        if value
    ]
    if rows:
        write_rows(connection, _raise(connection.dialect.name), rows)


@cache
def _raise(dialect: str) -> sa.Insert:
    insert = dialect_insert(dialect, tallies)
    raised = {"value": tallies.c.value + insert.excluded.value}
    return insert.on_conflict_do_update(index_elements=["metric", "labels", "slot"], set_=raised)


def read_tallies(connection: sa.Connection) -> dict[str, dict[tuple[str, ...], int]]:
    """Metric → label values → the sum over all slots."""
    query = sa.select(tallies.c.metric, tallies.c.labels, sa.func.sum(tallies.c.value)).group_by(tallies.c.metric, tallies.c.labels)
    table: dict[str, dict[tuple[str, ...], int]] = {}
    for metric, labels, value in connection.execute(query):
        table.setdefault(metric, {})[tuple(json.loads(labels))] = int(value)
    return table


def insert_for(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT in this connection's dialect."""
    return dialect_insert(connection.dialect.name, table)


def dialect_insert(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Likewise by the dialect's name: a statement of a hot path is built once for each and kept (docs/decisions/0009)."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
