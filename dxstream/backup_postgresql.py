"""The ledger's copy on PostgreSQL: ``pg_dump`` and ``pg_restore``, told by the environment where to: no password is seen."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from db.engine import Database
from stream.errors import DxstreamError

_NAMES = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "username", "PGPASSWORD": "password", "PGDATABASE": "database"}


@contextmanager
def dumped(database: Database, path: Path) -> Iterator[sa.Connection]:
    """The dump in ``path``, and a connection that sees exactly what it holds: both use one snapshot."""
    engine = database.engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        snapshot = connection.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one()
        _run(database, "pg_dump", "--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={path}")
        yield connection


def restore(database: Database, path: Path) -> None:
    """Into a database without tables; all of it or nothing."""
    with database.read() as connection:
        if sa.inspect(connection).get_table_names():
            raise DxstreamError("the database of DXSTREAM_DATABASE_URL is not empty: restore into a new one")
    name = str(database.url.database)
    _run(database, "pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", f"--dbname={name}", str(path))


def _run(database: Database, program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise DxstreamError(f"{program} is not on the path: install PostgreSQL's client programs of the server's version or newer")
    values = {name: str(value) for name, part in _NAMES.items() if (value := getattr(database.url, part)) is not None}
    done = subprocess.run(  # noqa: S603 - our own arguments
        [program, *arguments], env={**os.environ, **values}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = next(iter(done.stderr.strip().splitlines()), "no word")
        raise DxstreamError(f"{program} ended with {done.returncode}: {words}")
