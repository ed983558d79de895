"""Many rows by one statement, without SQLAlchemy's work for each of them.

Its ``execute`` prepares each row's parameters anew, which took a third of a group of results (docs/decisions/0009). Here a
statement is compiled once for a dialect, and a row costs only the processors of those columns that have one.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

Build = Callable[[Mapping[str, Any]], Any]


def write_rows(connection: sa.Connection, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute for every row; all have the same keys. ``statement`` is one that is kept: it is compiled once."""
    if rows:
        written, build = _compiled(connection.dialect, statement, tuple(rows[0]))
        connection.exec_driver_sql(written, [build(row) for row in rows])


@lru_cache(maxsize=64)
def _compiled(dialect: sa.Dialect, statement: sa.Insert, names: tuple[str, ...]) -> tuple[str, Build]:
    """The statement's text, and what makes the driver's parameters of a row: a tuple or a mapping, as the driver takes them."""
    compiled = statement.compile(dialect=dialect, column_keys=names)
    processors = {name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names}
    steps = tuple((name, processors[name] or _as_it_is) for name in getattr(compiled, "positiontup", None) or names)
    if compiled.positional:
        return str(compiled), lambda row: tuple([process(row[name]) for name, process in steps])
    return str(compiled), lambda row: {name: process(row[name]) for name, process in steps}


def _as_it_is(value: Any) -> Any:
    return value
