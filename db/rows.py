"""Statements of hot paths, straight to the driver: compiled once and kept, many rows by one call, rows back as tuples.

SQLAlchemy's ``execute`` prepares every statement and each row's parameters anew, which took half of a group's time; and a
driver that is called once a row gives the interpreter away as often (docs/decisions/0009). Errors are raised as SQLAlchemy's.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa

from db.columns import VALUES, by_columns, type_name

#: The most rows of one call: a longer statement gains nothing.
MOST_ROWS = 64

#: What PostgreSQL calls the type of our numbers with a fraction.
_FLOAT8 = 701

#: How psycopg is to ask for its rows: bytes that come as text are twice as long, and written and read once more.
_BINARY = {"binary": True}

#: How SQLAlchemy writes a list whose length is not known yet.
_LISTED = re.compile(r"IN \(__\[POSTCOMPILE_(\w+)\]\)")

Query = sa.Select[Any] | sa.CompoundSelect[Any]
Process = Callable[[Any], Any]


def write_rows(connection: sa.Connection, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Insert every row; all have the same keys. ``statement`` is one that is kept: it is compiled once.

    Gives what it returns, in no order that could be relied on. No two rows may be in conflict with one another.
    """
    if connection.dialect.name == "postgresql" and len(rows) > 1:
        text, steps, found = _insert(connection.dialect, statement, tuple(rows[0]), 1)
        if some := by_columns(connection.dialect, statement.table, text, steps, rows):
            return _call(connection, *some, found)
    return _write_values(connection, statement, rows)


def _write_values(connection: sa.Connection, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """A parameter a value."""
    returned: list[tuple[Any, ...]] = []
    for start in range(0, len(rows), MOST_ROWS):
        some = rows[start : start + MOST_ROWS]
        text, steps, found = _insert(connection.dialect, statement, tuple(some[0]), len(some))
        values = [
            process(row.get(name, usual)) if process else row.get(name, usual) for row in some for name, usual, process in steps
        ]
        returned += _call(connection, text, values, found)
    return returned


def append_rows(connection: sa.Connection, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same for many short rows that nothing is asked of: PostgreSQL copies them, a fifth of the work (docs/decisions/0033)."""
    if connection.dialect.name != "postgresql" or not rows:
        write_rows(connection, statement, rows)
        return
    names = tuple(rows[0])
    _, steps, _ = _insert(connection.dialect, statement, names, 1)
    text = f"COPY {statement.table.name} ({', '.join(name for name, _, _ in steps)}) FROM STDIN"
    with _raised_as_sqlalchemy(connection, text), _driver(connection).cursor() as cursor, cursor.copy(text) as copy:
        for row in rows:
            values = [row.get(name, usual) for name, usual, _ in steps]
            copy.write_row([step[2](value) if step[2] else value for step, value in zip(steps, values, strict=True)])


def read_rows(connection: sa.Connection, statement: Query, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query that is kept; ``values`` by the names of its parameters, a list for one that expands.

    Of an empty list no row.
    """
    if any(value == [] for value in values.values()):
        return []
    whole = connection.dialect.name == "postgresql"
    lists = {} if whole else {name: value for name, value in values.items() if isinstance(value, list)}
    text, steps, found = _query(connection.dialect, statement, tuple((name, rounded(len(some))) for name, some in lists.items()))
    return _call(connection, text, [process(_pick(values, name, place)) for name, place, process in steps], found)


def change_rows(connection: sa.Connection, statement: sa.Update, rows: Iterable[Mapping[str, Any]]) -> int:
    """Execute an UPDATE that is kept, and whose parameters are named, for one row after the other (all at once: db/change.py).

    Gives how many rows were changed.
    """
    text, steps, _ = _query(connection.dialect, statement, ())
    changed = 0
    for row in rows:
        changed += execute(connection, text, [process(row.get(name)) for name, _, process in steps])
    return changed


def execute(connection: sa.Connection, text: str, values: Sequence[Any]) -> int:
    """The driver's own text and parameters; gives how many rows were changed."""
    with _raised_as_sqlalchemy(connection, text):
        changed: int = _driver(connection).execute(text, values).rowcount
    return changed


def rounded(length: int) -> int:
    """The next power of two: as many texts of a query are kept, and the last value stands more than once."""
    return 1 << (length - 1).bit_length()


def _pick(values: Mapping[str, Any], name: str, place: int | None) -> Any:
    found = values.get(name)
    return found if place is None or found is None else found[min(place, len(found) - 1)]


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.driver_connection


def _call(
    connection: sa.Connection, text: str, values: Sequence[Any], found: Sequence[Process | None] | None
) -> list[tuple[Any, ...]]:
    ways = _BINARY if connection.dialect.name == "postgresql" else {}
    with _raised_as_sqlalchemy(connection, text):
        cursor = _driver(connection).execute(text, values, **ways)
        rows: list[tuple[Any, ...]] = cursor.fetchall() if found is not None else []
    if found is None or not any(found):
        return rows
    return [tuple([process(value) if process else value for value, process in zip(row, found, strict=True)]) for row in rows]


@contextmanager
def _raised_as_sqlalchemy(connection: sa.Connection, text: str) -> Iterator[None]:
    """The driver's errors without values of rows, and with what SQLAlchemy knows of them: whether the connection is gone."""
    dialect: Any = connection.dialect
    base = dialect.loaded_dbapi.Error
    try:
        yield
    except base as error:
        gone = dialect.is_disconnect(error, connection.connection.driver_connection, None)
        raise sa.exc.DBAPIError.instance(text, None, error, base, connection_invalidated=gone, dialect=dialect) from None


#: A text; of each value of a row its name, its default and what makes it the driver's; of each column what makes it ours.
Inserted = tuple[str, tuple[tuple[str, Any, Process | None], ...], tuple[Process | None, ...] | None]


@lru_cache(maxsize=512)
def _insert(dialect: sa.Dialect, statement: sa.Insert, names: tuple[str, ...], count: int) -> Inserted:
    """For so many rows."""
    text, steps, found = _insert_one(dialect, statement, names)
    return VALUES.sub(lambda match: "VALUES " + ", ".join([match[1]] * count), text, count=1), steps, found


@lru_cache(maxsize=128)
def _insert_one(dialect: sa.Dialect, statement: sa.Insert, names: tuple[str, ...]) -> Inserted:
    """For one: SQLAlchemy is asked once, not for each size of a group."""
    compiled: Any = statement.inline().compile(dialect=_positional(dialect), column_keys=names)
    usual = {column.key: column.default.arg for column in compiled.insert_prefetch}
    steps = tuple((name, usual.get(name), _into(dialect, compiled.binds[name])) for name in compiled.positiontup)
    return str(compiled), steps, _out_of(dialect, statement.exported_columns) if statement._returning else None  # noqa: SLF001


#: A text; of each parameter its name, its place in a list and what makes it the driver's; of each column what makes it ours.
Kept = tuple[str, tuple[tuple[str, int | None, Process], ...], tuple[Process | None, ...] | None]


@lru_cache(maxsize=512)
def _query(dialect: sa.Dialect, statement: Query | sa.Update, lengths: tuple[tuple[str, int], ...]) -> Kept:
    """``lengths``: of the lists, by name; none on PostgreSQL, where a list of any length is one parameter, ``= ANY(…)``.

    Else its driver would read a text of 256 parameters anew each time, and so would it (docs/decisions/0033).
    """
    text, compiled = _compile(dialect, statement, lengths)
    expanded = {f"{name}_{place + 1}": (name, place) for name, length in lengths for place in range(length)}
    steps = []
    for written in compiled.positiontup:
        name, place = expanded.get(written, (written, None))
        bind = compiled.binds[name]
        kept = bind.value if place is None and not bind.required else None
        process = _into(dialect, bind) or _as_it_is
        if bind.expanding and place is None:
            process = partial(_each, process)
        steps.append((name, place, process if kept is None else partial(_kept, kept)))
    returned = None if isinstance(statement, sa.Update) else _out_of(dialect, statement.selected_columns)
    return text, tuple(steps), returned


def _compile(dialect: sa.Dialect, statement: Query | sa.Update, lengths: tuple[tuple[str, int], ...]) -> tuple[str, Any]:
    compiled: Any
    if dialect.name == "postgresql":
        compiled = statement.compile(dialect=_positional(dialect))
        text = _LISTED.sub(lambda match: f"= ANY(%s::{type_name(dialect, compiled.binds[match[1]].type)}[])", str(compiled))
        return text, compiled
    lists = {name: [None] * length for name, length in lengths}
    filled = statement if isinstance(statement, sa.Update) else statement.params(lists)
    compiled = filled.compile(dialect=_positional(dialect), compile_kwargs={"render_postcompile": True})
    return str(compiled), compiled


def _into(dialect: sa.Dialect, bind: Any) -> Process | None:
    process: Process | None = bind.type.dialect_impl(dialect).bind_processor(dialect)
    return process


def _out_of(dialect: sa.Dialect, columns: Iterable[Any]) -> tuple[Process | None, ...]:
    types = [column.type.dialect_impl(dialect) for column in columns]
    return tuple(kind.result_processor(dialect, _FLOAT8 if isinstance(kind, sa.Float) else None) for kind in types)


@lru_cache(maxsize=8)
def _positional(dialect: sa.Dialect) -> sa.Dialect:
    """The same dialect, whose texts have their parameters by place."""
    if dialect.paramstyle == "pyformat":
        return type(dialect)(paramstyle="format")  # type: ignore[call-arg]
    return dialect


def _kept(value: Any, _: Any) -> Any:
    """A value that stands in the statement."""
    return value


def _each(process: Process, values: Iterable[Any]) -> list[Any]:
    return [process(value) for value in values]


def _as_it_is(value: Any) -> Any:
    return value
