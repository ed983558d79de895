"""What SQLite needs of its own: the lock that a write begins with, its settings, and its write-ahead log on the disk."""

import os
import sqlite3
import time
from typing import Any

import sqlalchemy as sa

from stream.errors import Temporary

#: How long a write waits for another's to end, in milliseconds.
BUSY_MILLISECONDS = 10_000

#: How often it looks whether that other has ended, in seconds.
LOOK_SECONDS = 0.0005

#: From so many pages of 4 KB on the write-ahead log is begun anew once it was brought into the file, which the keeper does …
LOG_PAGES = 4000
#: … and which a commit does itself beyond so many, where no keeper is: whoever waits for that commit waits for the disk too.
MOST_LOG_PAGES = 16_000
#: For readers of the old log, in milliseconds; where some are left, it goes on growing until the next time.
READERS_MILLISECONDS = 100


def prepare(connection: Any, _record: object) -> None:
    """Settings of a new connection."""
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        f"wal_autocheckpoint={MOST_LOG_PAGES}",
        "synchronous=FULL",
        f"busy_timeout={BUSY_MILLISECONDS}",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin(connection: sa.Connection, *, durable: bool) -> None:
    """``BEGIN IMMEDIATE`` as soon as the lock is free: SQLite's own wait sleeps longer each time, up to 100 ms."""
    driver: Any = connection.connection.driver_connection
    end = time.monotonic() + BUSY_MILLISECONDS / 1000
    try:
        driver.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        driver.execute("PRAGMA busy_timeout=0")
        try:
            while not _begun(driver):
                if time.monotonic() > end:
                    raise Temporary("the database is busy")
                time.sleep(LOOK_SECONDS)
        finally:
            driver.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    except sqlite3.Error as error:
        raise sa.exc.DBAPIError.instance("BEGIN", None, error, sqlite3.Error, dialect=connection.dialect) from None
    connection.begin()  # so that SQLAlchemy knows of it


def _begun(driver: sqlite3.Connection) -> bool:
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


_FILE = "SELECT file FROM pragma_database_list WHERE name = 'main'"


class Log:
    """The write-ahead log of a database, as far as the disk has it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._path = ""
        self._doubtful = False  # whether the disk has failed to keep it

    def sync(self) -> None:
        """Until all that was committed before is durable, while others go on writing; raises Temporary where it may not be.

        Once the disk has failed to keep the log, syncing it says nothing any more, since the kernel takes its pages for kept:
        then only what was brought into the file itself is durable.
        """
        if not self._path:
            with self._engine.connect() as connection:
                self._path = f"{connection.exec_driver_sql(_FILE).scalar_one()}-wal"
        if not self._doubtful and _synced(self._path):
            return
        self._doubtful = True
        with self._engine.connect() as connection:
            busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)").one()
        if busy:
            raise Temporary("the database's log may not be durable")
        self._doubtful = False

    def bring_in(self) -> None:
        """Bring the log into the file while others go on writing; where it is begun anew, they wait for what came meanwhile."""
        with self._engine.connect() as connection:
            _, pages, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
            if pages < LOG_PAGES:
                return
            connection.exec_driver_sql(f"PRAGMA busy_timeout={READERS_MILLISECONDS}")
            try:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(RESTART)")
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")


def _synced(path: str) -> bool:
    """Whether the disk has all of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # the log's last user has brought it into the file, durably
        return True
    except OSError:
        return False
    try:
        os.fdatasync(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
