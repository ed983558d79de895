"""A database as a release before this one left it."""

from collections.abc import Iterator

import pytest
from alembic import command

from db.engine import Database
from db.migrate import alembic_config


@pytest.fixture
def earlier(request: pytest.FixtureRequest, database_url: str) -> Iterator[Database]:
    """A database at the revision that the test names as the parameter."""
    database = Database(database_url)
    with database.write() as (connection, _):
        command.upgrade(alembic_config(connection), request.param)
    yield database
    database.close()
