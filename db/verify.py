"""Rows without content and content without rows: reads the ledger beside the store, running or not, and changes nothing."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from db.engine import Database
from db.places import find_places
from db.series import PREFIX as SERIES
from db.tables import Utc, cases, content_places, contents, events, inputs
from stream.content import ContentStore
from stream.keep import UNTOUCHED, Keep

#: Rows that are looked at by one statement.
AT_ONCE = 1000

#: The files of the store, for the database to compare with.
_files = sa.Table(
    "dxstream_files",
    sa.MetaData(),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("touched_at", Utc, nullable=False),
    prefixes=["TEMPORARY"],
)


@dataclass
class Found:
    """``missing``: rows whose content is gone or has another size, ``orphans``: content that no row names."""

    rows: int = 0
    contents: int = 0
    pruned: int = 0  # finished rows whose content is gone because that was asked for
    missing: list[Mapping[str, Any]] = field(default_factory=list)
    orphans: list[Mapping[str, Any]] = field(default_factory=list)


def verify(database: Database, store: ContentStore, keep: Keep) -> Found:
    """Look at every row and every content. What comes in meanwhile is left out, what is younger than a day is no orphan."""
    found = Found()
    with database.read() as connection:
        start = database.now(connection)
        _files.create(connection)
        try:
            for some in _listed(store):
                connection.execute(sa.insert(_files), some)
            _look_for_missing(connection, start, store, keep, found)
            _look_for_orphans(connection, start - max(UNTOUCHED, (keep.content or UNTOUCHED) + timedelta(days=1)), found)
        finally:
            _files.drop(connection)
    return found


def _listed(store: ContentStore) -> Iterator[list[dict[str, Any]]]:
    """Digest, size and age of every file, a folder at a time."""
    for folder in sorted(Path(store.folder).glob("??")):
        with os.scandir(folder) as entries:
            states = [(entry.name, entry.stat()) for entry in entries if not entry.name.startswith(".")]
        rows = [
            {"digest": name, "size": state.st_size, "touched_at": datetime.fromtimestamp(state.st_mtime, UTC)}
            for name, state in states
        ]
        if rows:
            yield rows


def _look_for_missing(connection: sa.Connection, start: datetime, store: ContentStore, keep: Keep, found: Found) -> None:
    oldest = start - keep.content if keep.content else None
    for kind, query in _rows(start).items():
        after = 0
        while rows := connection.execute(query.where(sa.column("number") > after).order_by("number").limit(AT_ONCE)).all():
            found.rows += len(rows)
            _judge(connection, kind, rows, oldest, store, found)
            after = rows[-1].number


def _rows(start: datetime) -> dict[str, sa.Select[Any]]:
    """Inputs, and the events whose digest is that of a content: id, digest, size, age, whether it is unfinished, what is stored."""
    unfinished = events.c.state.in_(("waiting", "leased", "dead"))
    unknown: sa.ColumnElement[Any] = sa.null()
    selects = {
        "input": sa.select(
            inputs.c.id.label("number"),
            inputs.c.digest,
            inputs.c.size,
            inputs.c.accepted_at.label("at"),
            sa.false().label("needed"),
        ).where(inputs.c.accepted_at < start),
        "event": sa.select(
            events.c.id.label("number"),
            events.c.digest,
            unknown.label("size"),
            events.c.received_at.label("at"),
            unfinished.label("needed"),
        ).where(events.c.received_at < start, ~events.c.case_key.startswith(SERIES)),
    }
    stored = {}
    for kind, select in selects.items():
        one = select.subquery()
        stored[kind] = (
            sa.select(one, contents.c.digest.label("row"), _files.c.size.label("file_size"))
            .outerjoin(contents, contents.c.digest == one.c.digest)
            .outerjoin(_files, _files.c.digest == one.c.digest)
        )
    return stored


def _judge(
    connection: sa.Connection, kind: str, rows: Sequence[Any], oldest: datetime | None, store: ContentStore, found: Found
) -> None:
    bare = [row for row in rows if row.row is None and row.file_size is None and not store.path(row.digest).exists()]
    elsewhere = {
        digest for digest, place in find_places(connection, {row.digest for row in bare}).items() if Path(place.path).exists()
    }
    for row in bare:
        if row.digest in elsewhere:
            continue
        if oldest and row.at < oldest and not row.needed:
            found.pruned += 1
        else:
            found.missing.append({kind: row.number, "digest": row.digest, "why": "its content is gone"})
    for row in rows:
        if row.row is None and row.file_size is not None and row.size not in (None, row.file_size):
            why = f"its file has {row.file_size} bytes, not {row.size}"
            found.missing.append({kind: row.number, "digest": row.digest, "why": why})


def _look_for_orphans(connection: sa.Connection, before: datetime, found: Found) -> None:
    named = sa.union(sa.select(inputs.c.digest), sa.select(events.c.digest), sa.select(cases.c.digest))
    own = {
        "row": (contents, sa.func.length(contents.c.data), contents.c.kept_at),
        "file": (_files, _files.c.size, _files.c.touched_at),
        "place": (content_places, sa.literal(0), sa.null()),
    }
    for kind, (table, size, touched) in own.items():
        found.contents += connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        query = sa.select(table.c.digest, size.label("bytes")).where(table.c.digest.not_in(named))
        if kind != "place":
            query = query.where(sa.or_(touched.is_(None), touched < before))
        for row in connection.execute(query.order_by(table.c.digest)):
            found.orphans.append({"digest": row.digest, "bytes": row.bytes, "kind": kind})
