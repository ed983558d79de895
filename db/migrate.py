"""Bringing a database to the newest revision; two processes that try at once wait for each other."""

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from db.engine import Database

MIGRATIONS = Path(__file__).parent / "migrations"

#: Key of the advisory lock on PostgreSQL; any number that nobody else uses.
_LOCK = 0x647873


def alembic_config(connection: sa.Connection) -> Config:
    """Alembic's configuration for one connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(database: Database) -> None:
    """Apply every migration that is missing; raises Temporary when the database cannot be had.

    An empty database gets all of them in one transaction. Where there are tables already each is one of its own: others are
    writing, and wait for no more than one.
    """
    while True:
        with database.write() as (connection, _):
            if not database.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            current = _current(connection)
            if current == _newest():
                return
            command.upgrade(alembic_config(connection), "+1" if current else "head")
        if not current:
            return


def revisions(database: Database) -> tuple[str, str]:
    """The revision that the database stands at (empty: none), and the newest one."""
    with database.read() as connection:
        return _current(connection), _newest()


def _current(connection: sa.Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


@cache
def _newest() -> str:
    """Read once: it runs every migration's file, and those of a running process do not change."""
    return ScriptDirectory(MIGRATIONS).get_current_head() or ""
