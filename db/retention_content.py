"""Retention of content: bytes go once nothing unfinished needs them and nobody has touched them for as long as is asked for.

A row's age is ``contents.kept_at``, a file's the time of its last change: whatever brings the bytes again makes them young.
Content that was left in place is somebody else's and is never touched.
"""

import os
import time
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from db.series import PREFIX as SERIES
from db.tables import case_inputs, cases, contents, events, inputs
from db.tally import Counts
from stream.content import ContentStore
from stream.errors import Temporary

#: Rows or files that one step looks at, at most.
AT_ONCE = 200
#: While more events than this wait, no content is pruned: what they need would have to be asked of each.
MOST_WAITING = 20_000

#: Hexadecimal digits of a sha256.
_DIGEST_LENGTH = 64

_NOTE = sa.text("modality = 'note'")  # as the index says it
_UNFINISHED = tuple(sa.text(f"state = '{state}'") for state in ("waiting", "leased", "dead"))  # as the partial indexes say it

#: Where a pass through the rows stands: their age and digest.
Place = tuple[datetime, str]


def too_many_wait(connection: sa.Connection) -> bool:
    """Whether this is no time to prune content."""
    some = sa.select(events.c.id).where(_UNFINISHED[0]).limit(MOST_WAITING + 1).subquery()
    waiting: int = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return waiting > MOST_WAITING


def old_rows(connection: sa.Connection, before: datetime, after: Place | None) -> tuple[list[str], Place | None]:
    """Contents of the next few that are old and that nothing needs; where the next step goes on, None at the pass's end."""
    old = sa.select(contents.c.kept_at, contents.c.digest).where(contents.c.kept_at < before)
    if after:
        old = old.where(
            sa.tuple_(contents.c.kept_at, contents.c.digest) > sa.tuple_(sa.literal(after[0], contents.c.kept_at.type), after[1])
        )
    rows = connection.execute(old.order_by(contents.c.kept_at, contents.c.digest).limit(AT_ONCE)).all()
    digests = {row.digest for row in rows}
    needs = needed(connection, digests)
    return sorted(digests - needs), (rows[-1].kept_at, rows[-1].digest) if len(rows) == AT_ONCE else None


def prune_rows(connection: sa.Connection, before: datetime, digests: Collection[str], counts: Counts) -> None:
    """Take these away, but for those that were brought again meanwhile."""
    old = contents.c.digest.in_(digests) & (contents.c.kept_at < before)
    counts["pruned", ("content",)] += connection.execute(sa.delete(contents).where(old)).rowcount


def undated(connection: sa.Connection) -> bool:
    """Whether there are rows that were written before there were ages."""
    return connection.execute(sa.select(contents.c.digest).where(contents.c.kept_at.is_(None)).limit(1)).first() is not None


def date_rows(connection: sa.Connection, now: datetime) -> None:
    """The next few of those are young from now on."""
    some = sa.select(contents.c.digest).where(contents.c.kept_at.is_(None)).limit(AT_ONCE)
    connection.execute(sa.update(contents).where(contents.c.digest.in_(some)).values(kept_at=now))


def needed(connection: sa.Connection, digests: Collection[str]) -> set[str]:
    """Those of these contents that something unfinished is or will be judged from: an event, a series, a document that waits."""
    if not digests:
        return set()
    found: set[str] = set()
    for query in _needs(digests):
        found.update(connection.execute(query).scalars())
    return found


def _needs(digests: Collection[str]) -> Iterator[sa.Select[Any]]:
    gathered = (
        sa.select(inputs.c.digest)
        .join(case_inputs, case_inputs.c.input_id == inputs.c.id)
        .join(cases, cases.c.id == case_inputs.c.case_id)
        .where(inputs.c.digest.in_(digests))
    )
    yield gathered.where(cases.c.close_at.is_not(None), cases.c.case_key.startswith(SERIES))
    for state in _UNFINISHED:
        yield sa.select(events.c.digest).where(state, events.c.digest.in_(digests))
        series = sa.select(events.c.case_key).where(state, events.c.case_key.startswith(SERIES))
        yield gathered.where(cases.c.case_key.in_(series))
    collecting = sa.select(inputs.c.id).join(case_inputs, case_inputs.c.input_id == inputs.c.id)
    collecting = collecting.where(case_inputs.c.case_id == cases.c.id, inputs.c.disposition == "collecting")
    yield sa.select(cases.c.digest).where(_NOTE, cases.c.digest.in_(digests), collecting.exists())


def old_files(store: ContentStore, folder: int, age: timedelta) -> list[str]:
    """The digests of files in one of the 256 folders that nobody has touched for ``age``; what is left over is put right."""
    limit = time.time() - age.total_seconds()
    found: list[str] = []
    try:
        with os.scandir(store.folder / f"{folder:02x}") as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    _put_right(Path(entry.path), limit)
                elif entry.stat().st_mtime < limit:
                    found.append(entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Temporary(f"the content store cannot be read ({error.strerror})") from error
    return found[:AT_ONCE]


def _put_right(aside: Path, limit: float) -> None:
    """Half a file of a writer that was killed goes; a whole one that a keeper had named otherwise gets its name back."""
    digest = aside.name.removeprefix(".")
    if len(digest) == _DIGEST_LENGTH and not aside.with_name(digest).exists():
        aside.rename(aside.with_name(digest))
    elif aside.stat().st_mtime < limit:
        aside.unlink(missing_ok=True)


def prune_files(connection: sa.Connection, store: ContentStore, digests: Collection[str], age: timedelta, counts: Counts) -> None:
    """Take these files away, but for those that were brought again meanwhile.

    Each is named otherwise first: who brings the same bytes again then either finds no file and writes it, or has just made
    the file young, and it is given its name back. No commit at the door ends meanwhile, so nobody misses it.
    """
    if connection.dialect.name != "sqlite":  # there a write has the database to itself anyway
        connection.exec_driver_sql("SET LOCAL lock_timeout = '500ms'")
        connection.exec_driver_sql("LOCK TABLE inputs IN SHARE MODE")
    limit = time.time() - age.total_seconds()
    for digest in digests:
        path = store.path(digest)
        aside = path.with_name(f".{digest}")
        try:
            path.rename(aside)
            if aside.stat().st_mtime >= limit:
                aside.rename(path)
            else:
                aside.unlink()
                counts["pruned", ("content",)] += 1
        except FileNotFoundError:  # another keeper was first
            continue
        except OSError as error:
            raise Temporary(f"the content store cannot be pruned ({error.strerror})") from error
