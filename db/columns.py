"""Many rows into PostgreSQL by one statement: what is equal in all of them is told once, the rest as a list a column.

A value of a list costs the driver and the server half of what a parameter of its own does, and one that is told once costs
nothing (docs/decisions/0033).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import NoneType
from typing import Any

import sqlalchemy as sa

VALUES = re.compile(r"VALUES (\([^()]*\))")
#: The length of a type: a cast to it would cut what is longer without a word.
_LENGTH = re.compile(r"\(\d+\)")

#: A column's name, what a row has that does not name it, and what makes its value the driver's.
Step = tuple[str, Any, Callable[[Any], Any] | None]


def by_columns(
    dialect: sa.Dialect, table: sa.TableClause, text: str, steps: Sequence[Step], rows: Sequence[Mapping[str, Any]]
) -> tuple[str, list[Any]] | None:
    """The statement, ``text`` being that of one row, and its parameters.

    None where bytes are among them, which a list would write as text twice over, or where no two rows differ.
    """
    kinds = _kinds(dialect, table, tuple(name for name, _, _ in steps))
    if not kinds:
        return None
    columns = [_column(rows, step, python) for step, (_, python) in zip(steps, kinds, strict=True)]
    same = tuple(map(is_same, columns))
    if all(same):
        return None
    once = [column[0] for column, equal in zip(columns, same, strict=True) if equal]
    lists = [column for column, equal in zip(columns, same, strict=True) if not equal]
    return _text(text, tuple(kind for kind, _ in kinds), same), once + lists


def is_same(column: Sequence[Any]) -> bool:
    """Whether all of its values are equal, so that one tells them all."""
    return column.count(column[0]) == len(column)


def _column(rows: Sequence[Mapping[str, Any]], step: Step, python: type) -> list[Any]:
    name, usual, process = step
    values = [row.get(name, usual) for row in rows]
    if process:
        values = [process(value) for value in values]
    return of_one_type(values, python)


def of_one_type(values: list[Any], python: type) -> list[Any]:
    """The driver takes no list of more than one type beside None."""
    if len({*map(type, values)} - {NoneType}) > 1:
        return [None if value is None else python(value) for value in values]
    return values


def type_name(dialect: sa.Dialect, kind: Any) -> str:
    """What a cast calls a type, without its length."""
    return _LENGTH.sub("", kind.dialect_impl(dialect).compile(dialect))


@lru_cache(maxsize=128)
def _kinds(dialect: sa.Dialect, table: sa.TableClause, names: tuple[str, ...]) -> tuple[tuple[str, type], ...] | None:
    """Of each column; None where bytes are among them."""
    if any(isinstance(table.c[name].type.dialect_impl(dialect), sa.LargeBinary) for name in names):
        return None
    return tuple(kind_of(dialect, table, name) for name in names)


@lru_cache(maxsize=128)
def kind_of(dialect: sa.Dialect, table: sa.TableClause, name: str) -> tuple[str, type]:
    """A column's type, PostgreSQL's and Python's; what is JSON has been written by then."""
    kind = table.c[name].type.dialect_impl(dialect)
    return type_name(dialect, kind), str if isinstance(kind, sa.JSON) else kind.python_type


@lru_cache(maxsize=512)
def _text(text: str, kinds: tuple[str, ...], same: tuple[bool, ...]) -> str:
    columns = list(enumerate(zip(kinds, same, strict=True)))
    taken = ", ".join(f"%s::{kind}" if equal else f"new.c{place}" for place, (kind, equal) in columns)
    lists = ", ".join(f"%s::{kind}[]" for _, (kind, equal) in columns if not equal)
    names = ", ".join(f"c{place}" for place, (_, equal) in columns if not equal)
    return VALUES.sub(f"SELECT {taken} FROM unnest({lists}) AS new({names})", text, count=1)  # noqa: S608 - types and numbers
