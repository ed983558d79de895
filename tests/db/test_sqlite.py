"""What was written without waiting for the disk is durable once ``sync`` has returned, and not before."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import sqlite
from db.engine import Database
from stream.errors import Temporary


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An open database of one table, which waits a tenth of a second for a lock."""
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 100)
    opened = Database(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with opened.write() as (connection, _):
        connection.exec_driver_sql("CREATE TABLE sent (number INTEGER)")
    yield opened
    opened.close()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that the disk was asked to keep."""
    files: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: files.append(str(Path(f"/proc/self/fd/{descriptor}").readlink())))
    return files


def insert(database: Database, number: int) -> None:
    with database.write_unsynced() as (connection, _):
        connection.exec_driver_sql("INSERT INTO sent VALUES (?)", (number,))


def in_the_file(database: Database, tmp_path: Path) -> list[int]:
    """The numbers that are there without the log."""
    alone = tmp_path / "alone.sqlite"
    shutil.copyfile(str(database.url.database), alone)
    with sqlite3.connect(alone) as connection:
        rows = connection.execute("SELECT number FROM sent").fetchall()
    connection.close()
    return [number for (number,) in rows]


def disk_fails(_: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_the_log_is_brought_to_the_disk(database: Database, synced: list[str]):
    insert(database, 1)
    database.sync()
    assert synced == [f"{database.url.database}-wal"]


def test_a_log_that_its_last_user_took_away_is_in_the_file(database: Database, tmp_path: Path):
    insert(database, 1)
    database.sync()
    database.close()
    assert not Path(f"{database.url.database}-wal").exists()
    database.sync()
    assert in_the_file(database, tmp_path) == [1]


def test_where_the_disk_does_not_keep_the_log_it_is_brought_into_the_file(database: Database, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(os, "fdatasync", disk_fails)
    insert(database, 1)
    database.sync()
    assert in_the_file(database, tmp_path) == [1]


def test_a_log_that_was_not_kept_is_not_trusted_before_it_is_in_the_file(database: Database, tmp_path: Path, monkeypatch):
    insert(database, 1)
    with database.write(), monkeypatch.context() as failing:  # a writer keeps the log from being brought in
        failing.setattr(os, "fdatasync", disk_fails)
        with pytest.raises(Temporary):
            database.sync()
    with database.write(), pytest.raises(Temporary):  # the disk says that all is well: it has let the pages go
        database.sync()
    database.sync()
    assert in_the_file(database, tmp_path) == [1]
