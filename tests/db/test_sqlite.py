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


def pages(database: Database) -> int:
    """How many pages the log has."""
    with database.read() as connection:
        return int(connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()[1])


def test_what_was_written_is_brought_into_the_file(database: Database, tmp_path: Path):
    insert(database, 1)
    database.bring_in_log()
    assert in_the_file(database, tmp_path) == [1]


def test_a_long_log_is_begun_anew(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sqlite, "LOG_PAGES", 2)
    for number in range(20):
        insert(database, number)
    database.bring_in_log()
    insert(database, 20)
    assert pages(database) < 10


def test_a_log_that_somebody_still_reads_is_brought_in_and_goes_on_growing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite, "LOG_PAGES", 2)
    for number in range(20):
        insert(database, number)
    with database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM sent").one()
        database.bring_in_log()
        insert(database, 20)
    assert in_the_file(database, tmp_path) == list(range(20))


def test_a_log_is_brought_in_while_somebody_writes(database: Database, tmp_path: Path):
    insert(database, 1)
    with database.write() as (connection, _):
        connection.exec_driver_sql("INSERT INTO sent VALUES (2)")
        database.bring_in_log()
    assert in_the_file(database, tmp_path) == [1]
