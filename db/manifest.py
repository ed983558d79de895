"""The manifest of a backlog: a row a file, with what became of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from db.rows import change_rows, read_rows, write_rows
from db.tables import backlog_files, events, inputs
from db.tally import dialect_insert

#: How the manifest's rows are read when there are many.
_AT_ONCE = 2000

#: The states of what was not taken.
FAULTY = ("refused", "failed")
#: The reason of a file whose parts have rows of their own, that say more.
EVERY_PART = "every part was refused"


def add_files(connection: sa.Connection, backlog_id: int, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Add ``path``, ``member``, ``part``, ``size`` and where it is decided already ``state`` and ``reason``.

    Returns the sizes of those that were not there yet.
    """
    if not rows:
        return []
    first = {"member": "", "part": 0, "size": 0, "state": "pending", "reason": "", "parts": 0, "position": 0, "inputs": 0}
    first |= {"ended_at": None}
    full = [{**first, "backlog_id": backlog_id, **row} for row in rows]
    return [size for (size,) in write_rows(connection, _add(connection.dialect.name), full)]


@cache
def _add(dialect: str) -> sa.Insert:
    return dialect_insert(dialect, backlog_files).on_conflict_do_nothing().returning(backlog_files.c.size)


def pending(connection: sa.Connection, backlog_id: int, after: int, limit: int) -> list[dict[str, Any]]:
    """The next files that are to be dealt with."""
    names = ("id", "path", "member", "part", "size", "parts", "position", "inputs", "input_id")
    query = sa.select(*[backlog_files.c[name] for name in names]).where(
        backlog_files.c.backlog_id == backlog_id, backlog_files.c.state == "pending", backlog_files.c.id > after
    )
    return [dict(row) for row in connection.execute(query.order_by(backlog_files.c.id).limit(limit)).mappings()]


_POSITIONS = sa.select(backlog_files.c.id, backlog_files.c.position).where(
    backlog_files.c.id.in_(sa.bindparam("ids", expanding=True)), backlog_files.c.state == "pending"
)


def positions(connection: sa.Connection, ids: Sequence[int]) -> dict[int, int]:
    """How far each of these files is, as far as it is pending."""
    return dict(read_rows(connection, _POSITIONS, ids=list(ids))) if ids else {}


_UPDATED = ("state", "reason", "parts", "position", "inputs", "input_id", "ended_at")
_UPDATE = (
    sa.update(backlog_files)
    .where(backlog_files.c.id == sa.bindparam("file_id"))
    .values({name: sa.bindparam(f"new_{name}") for name in _UPDATED})
)


def update_files(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what became of files: ``id`` and every column of ``_UPDATED``."""
    values = [{"file_id": row["id"]} | {f"new_{name}": row[name] for name in _UPDATED} for row in rows]
    change_rows(connection, _UPDATE, values)


def add_page(connection: sa.Connection, now: datetime, backlog_id: int, page: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Add rows of a listing; by how much the counts of the backlog rise.

    ``alone``: what was listed of this path before is taken out again, as it turned out to be no archive.
    """
    plain = [row for row in page if not row.get("state")]
    counts = _sizes(add_files(connection, backlog_id, plain))
    for row in (row for row in page if row.get("state")):
        if row.get("alone"):
            gone = _sizes(_forget(connection, backlog_id, row["path"]))
            counts = {name: counts.get(name, 0) - gone.get(name, 0) for name in counts}
        values = {name: value for name, value in row.items() if name != "alone"}
        added = _sizes(add_files(connection, backlog_id, [{**values, "ended_at": now}]))
        added[row["state"]] = added["files"]
        counts = {name: counts.get(name, 0) + added.get(name, 0) for name in {*counts, *added}}
    return counts


def _sizes(sizes: Sequence[int]) -> dict[str, int]:
    return {"files": len(sizes), "bytes": sum(sizes)}


def _forget(connection: sa.Connection, backlog_id: int, path: str) -> list[int]:
    gone = (backlog_files.c.backlog_id == backlog_id) & (backlog_files.c.path == path) & (backlog_files.c.state == "pending")
    return list(connection.execute(sa.delete(backlog_files).where(gone).returning(backlog_files.c.size)).scalars())


def try_again(connection: sa.Connection, backlog_id: int) -> dict[str, int]:
    """What was refused or failed is pending again; by how much the counts of the backlog change.

    Of a file of many parts only those that were refused, each as a file of its own.
    """
    faulty_ones = (backlog_files.c.backlog_id == backlog_id) & backlog_files.c.state.in_(FAULTY)
    again = faulty_ones & (backlog_files.c.reason != EVERY_PART)
    counts = {"files": 0}
    columns = (backlog_files.c.state, (backlog_files.c.part > 0) & (backlog_files.c.parts == 0), sa.func.count())
    for state, uncounted, number in connection.execute(sa.select(*columns).where(again).group_by(*columns[:2])):
        name, change = ("files", number) if uncounted else (state, -number)
        counts[name] = counts.get(name, 0) + change
    values = {"state": "pending", "reason": "", "parts": 0, "position": 0, "ended_at": None}
    connection.execute(sa.update(backlog_files).where(again).values(values))
    return counts


def faulty(connection: sa.Connection, backlog_id: int, after: int = 0) -> list[dict[str, Any]]:
    """Files and parts of files that were refused or could not be read, a page of them."""
    wrong = (backlog_files.c.backlog_id == backlog_id) & backlog_files.c.state.in_(FAULTY) & (backlog_files.c.id > after)
    rows = connection.execute(sa.select(backlog_files).where(wrong).order_by(backlog_files.c.id).limit(_AT_ONCE))
    return [dict(row) for row in rows.mappings()]


def drop_files(connection: sa.Connection, backlog_id: int, most: int) -> int:
    """Take rows of a manifest out, at most so many; how many there were."""
    some = sa.select(backlog_files.c.id).where(backlog_files.c.backlog_id == backlog_id).limit(most)
    return connection.execute(sa.delete(backlog_files).where(backlog_files.c.id.in_(some))).rowcount


def count_reasons(connection: sa.Connection, backlog_id: int) -> list[tuple[str, str, int]]:
    """(state, reason, how many), the most frequent first; parts of files are counted as the files are."""
    number = sa.func.count()
    query = sa.select(backlog_files.c.state, backlog_files.c.reason, number).where(backlog_files.c.backlog_id == backlog_id)
    rows = connection.execute(query.group_by(backlog_files.c.state, backlog_files.c.reason).order_by(number.desc()))
    return [(state, reason, int(count)) for state, reason, count in rows]


def count_events(connection: sa.Connection, backlog_id: int) -> list[tuple[str, str, str, int]]:
    """What became of the first input of each file: (its event's state, outcome, reason, how many files)."""
    own = sa.select(backlog_files.c.input_id).where(backlog_files.c.backlog_id == backlog_id)
    number = sa.func.count()
    columns = (events.c.state, events.c.outcome, events.c.reason)
    query = sa.select(*columns, number).join(inputs, inputs.c.event_id == events.c.id).where(inputs.c.id.in_(own))
    rows = connection.execute(query.group_by(*columns).order_by(number.desc()))
    return [(state, outcome, reason, int(count)) for state, outcome, reason, count in rows]


def pages(rows: Iterable[Mapping[str, Any]], size: int = _AT_ONCE) -> Iterator[list[Mapping[str, Any]]]:
    """Rows in lists of at most ``size``, so that none of a million is held longer than needed."""
    page: list[Mapping[str, Any]] = []
    for row in rows:
        page.append(row)
        if len(page) >= size:
            yield page
            page = []
    if page:
        yield page
