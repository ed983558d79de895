"""Many rows changed by one UPDATE: what is equal in all of them is told once, the rest as a table beside.

A statement a row costs twice as much on SQLite, and three times on PostgreSQL (docs/decisions/0037).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from db.columns import is_same, kind_of, of_one_type
from db.rows import execute, rounded


def change_all(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Give the columns of each row the values that it has here; all have the same keys, ``id`` among them, which finds it.

    As many rows as a batch has: on SQLite each value that differs is a parameter, of which it takes 32,766.
    """
    if not rows:
        return
    dialect, names = connection.dialect, tuple(rows[0])
    columns = {name: [row[name] for row in rows] for name in names}
    lists = tuple(name for name in names if name == "id" or not is_same(columns[name]))
    once = [_processed(dialect, table, name, columns[name][:1])[0] for name in names if name not in lists]
    each = [_processed(dialect, table, name, columns[name]) for name in lists]
    if dialect.name == "postgresql":
        each = [of_one_type(some, kind_of(dialect, table, name)[1]) for name, some in zip(lists, each, strict=True)]
        execute(connection, _with_lists(dialect, table, names, lists), once + each)
        return
    values = [value for row in zip(*each, strict=True) for value in row]
    number = rounded(len(rows))
    values += values[-len(lists) :] * (number - len(rows))  # of rows that are found by one id, any is taken
    execute(connection, _with_values(table, names, lists, number), once + values)


def _processed(dialect: sa.Dialect, table: sa.Table, name: str, values: list[Any]) -> list[Any]:
    process = _process(dialect, table, name)
    return [process(value) for value in values] if process else values


@lru_cache(maxsize=128)
def _process(dialect: sa.Dialect, table: sa.Table, name: str) -> Any:
    """What makes a value of a column the driver's, where it is not already."""
    return table.c[name].type.dialect_impl(dialect).bind_processor(dialect)


@lru_cache(maxsize=512)
def _with_values(table: sa.Table, names: tuple[str, ...], lists: tuple[str, ...], number: int) -> str:
    """For SQLite, which calls the columns of such a table column1, column2 and so on."""
    row = f"({', '.join('?' * len(lists))})"
    new = {name: f"new.column{place}" for place, name in enumerate(lists, 1)}
    written = ", ".join(f"{name} = {new.get(name, '?')}" for name in names if name != "id")
    beside = f"(VALUES {', '.join([row] * number)}) AS new"
    return f"UPDATE {table.name} SET {written} FROM {beside} WHERE {table.name}.id = {new['id']}"  # noqa: S608 - our own names


@lru_cache(maxsize=512)
def _with_lists(dialect: sa.Dialect, table: sa.Table, names: tuple[str, ...], lists: tuple[str, ...]) -> str:
    """For PostgreSQL."""
    kinds = {name: kind_of(dialect, table, name)[0] for name in names}
    new = {name: f"new.{name}" for name in lists}
    written = ", ".join(f"{name} = {new.get(name, f'%s::{kinds[name]}')}" for name in names if name != "id")
    beside = f"unnest({', '.join(f'%s::{kinds[name]}[]' for name in lists)}) AS new({', '.join(lists)})"
    return f"UPDATE {table.name} SET {written} FROM {beside} WHERE {table.name}.id = {new['id']}"  # noqa: S608 - our own names
