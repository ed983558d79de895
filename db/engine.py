"""One way to a connection: short reads, and writes that hold the database for as short as they can.

SQLite: WAL, synchronous FULL, every write ``BEGIN IMMEDIATE``. PostgreSQL: READ COMMITTED, ``synchronous_commit`` on. Leases
and heartbeats alone do not wait for the disk, and what the intake writes to SQLite may wait for it afterwards (``sync``).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from db import sqlite
from stream.errors import DxstreamError, OutOfSpace, Temporary
from stream.settings import BadSettingError

#: PostgreSQL ends the transaction of a process that was stopped or cut off within it, so that its locks come free. In
#: milliseconds; more than ``stream.content.SAVE_SECONDS``, since a commit at the door waits that long for its files.
IDLE_MILLISECONDS = 12_000

#: A connection whose other end no longer acknowledges anything is given up after so long, on both sides, in milliseconds.
SILENT_MILLISECONDS = 10_000

#: What PostgreSQL is told at the start of a connection. A plan kept from when a table was empty reads all of it, each time, until
#: PostgreSQL next looks how large it has become: so each statement is planned anew (docs/decisions/0032).
_USUAL = {
    "idle_in_transaction_session_timeout": f"{IDLE_MILLISECONDS}",
    "plan_cache_mode": "force_custom_plan",
    "tcp_user_timeout": f"{SILENT_MILLISECONDS}",
}
#: What it is told by a worker besides. That waits for nothing within a transaction: what it had locked when its link was cut comes
#: free before its lease has run out. And all that it asks for a batch is by a key, or in an index's order: where PostgreSQL takes a
#: table for small, it would sort what waits for each claim, or read all of it to find 256 rows.
FOR_WORKERS = {
    "idle_in_transaction_session_timeout": "4000",
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class Database:
    """The engine of one process and the two ways to use it.

    ``settings``: of PostgreSQL, beside the usual ones.
    """

    def __init__(self, url: str, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        try:
            self.url = sa.make_url(url)
            self.url.get_dialect()
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError) as error:
            raise BadSettingError("DXSTREAM_DATABASE_URL is no URL of a database that is known here") from error
        if self.url.drivername in ("postgresql", "postgres"):
            self.url = self.url.set(drivername="postgresql+psycopg")
        self.engine = _make_engine(self.url, {**_USUAL, **settings})
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._log = sqlite.Log(self.engine)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A short read; nothing is kept."""
        with _as_ours(), self.engine.connect() as connection:
            yield connection
            connection.rollback()

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[tuple[sa.Connection, datetime]]:
        """A transaction and its time by the database's clock; raises Temporary when the database cannot be had.

        ``durable`` False: others see it, but the commit does not wait for the disk. For what a machine, or a database's server,
        may forget when it crashes: a lease that was forgotten is an event that waits again.
        """
        with _as_ours(), self.engine.connect() as connection:
            if self.is_sqlite:
                sqlite.begin(connection, durable=durable)
            yield connection, self.now(connection, durable=durable)
            connection.commit()

    @contextmanager
    def write_unsynced(self) -> Iterator[tuple[sa.Connection, datetime]]:
        """As ``write``, but it is ``sync`` that makes it durable, so that the next may be written meanwhile.

        On PostgreSQL the commit itself does: a server that crashed in between and came up again would have forgotten what
        was written, and ``sync`` could not tell. Here it is this machine that crashes, and nobody is left to be answered.
        """
        with self.write(durable=not self.is_sqlite) as opened:
            yield opened

    def sync(self) -> None:
        """Until all that was written unsynced is durable; raises Temporary where it may not be."""
        if self.is_sqlite:
            with _as_ours():
                self._log.sync()

    def bring_in_log(self) -> None:
        """SQLite's log into its file, which else a commit would wait for; raises Temporary."""
        if self.is_sqlite:
            with _as_ours():
                self._log.bring_in()

    def now(self, connection: sa.Connection, *, durable: bool = True) -> datetime:
        """The database's clock; for SQLite that is this machine's. PostgreSQL is told on the same way what ``write`` wants."""
        if self.is_sqlite:
            return datetime.now(UTC)
        now: datetime = connection.execute(_NOW if durable else _NOW_HASTILY).scalar_one()
        return now.astimezone(UTC)

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()


_NOW = sa.select(sa.func.clock_timestamp())
_NOW_HASTILY = sa.select(sa.func.clock_timestamp(), sa.func.set_config("synchronous_commit", "off", sa.true()))


def _make_engine(url: sa.URL, settings: Mapping[str, str]) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        alive = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": SILENT_MILLISECONDS}
        connect = {"connect_timeout": 3, **alive}
        engine = sa.create_engine(url, pool_pre_ping=True, pool_size=4, max_overflow=8, pool_timeout=10, connect_args=connect)
        event.listen(engine, "connect", partial(_prepare_postgresql, settings))
        return engine
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url, connect_args={"timeout": sqlite.BUSY_MILLISECONDS / 1000, "isolation_level": None}, pool_size=4, max_overflow=8
    )
    event.listen(engine, "connect", sqlite.prepare)
    return engine


def _prepare_postgresql(settings: Mapping[str, str], connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        for name, value in settings.items():
            cursor.execute(f"SET {name} = {value}")
    connection.commit()


#: idle_in_transaction_session_timeout and transaction_timeout, which the driver calls internal errors (PostgreSQL, appendix A).
_ENDED_BY_SERVER = ("25P03", "25P04")


@contextmanager
def _as_ours() -> Iterator[None]:
    """The driver's errors as ours; their text may hold values of rows, so it is not carried on."""
    try:
        yield
    except DxstreamError:
        raise
    except (OperationalError, InterfaceError, sa.exc.TimeoutError) as error:
        raise _temporary(error) from None
    except DBAPIError as error:
        if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _ENDED_BY_SERVER:
            raise _temporary(error) from None
        raise


def _temporary(error: Exception) -> Temporary:
    text = str(getattr(error, "orig", error)).lower()
    if "disk is full" in text or "disk full" in text or "readonly database" in text or "no space left" in text:
        return OutOfSpace("the database has no room to write")
    return Temporary(f"the database cannot be used ({type(getattr(error, 'orig', error)).__name__})")
