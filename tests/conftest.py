"""Fixtures: a real Redis, SQLite and PostgreSQL, and a started door."""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from servers import NO_POSTGRESQL, fresh_postgresql, postgresql_binaries, running_postgresql, running_redis

from db.engine import Database
from db.migrate import upgrade
from producers.door import Door
from producers.intake import Intake
from producers.writer import Writer
from producers.writer_apart import WriteApart
from stream.content import ContentStore
from stream.feeds import FeedsConfig
from stream.identity import Identities
from stream.metrics import Measures
from stream.ring import Bell, RingThread
from stream.window import Window


def pytest_report_header() -> str:
    """Say loudly what will not be tested."""
    return "PostgreSQL: " + (str(postgresql_binaries()) if postgresql_binaries() else "SKIPPED, " + NO_POSTGRESQL)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """One real Redis for the session."""
    with running_redis() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """One real PostgreSQL for the session."""
    if postgresql_binaries() is None:
        pytest.skip(NO_POSTGRESQL)
    with running_postgresql() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A database file of this test's own."""
    return f"sqlite:///{tmp_path / 'dxstream.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each test runs on both databases; PostgreSQL gets an empty one of the test's own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dxstream.sqlite'}"
    return fresh_postgresql(request.getfixturevalue("postgresql_url"), f"t{os.urandom(6).hex()}")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database, on SQLite and on PostgreSQL."""
    yield from _opened(database_url)


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Database]:
    """A migrated SQLite database, for tests of what does not depend on the database."""
    yield from _opened(sqlite_url)


def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def door(sqlite: Database, redis_url: str, tmp_path: Path) -> Iterator[Door]:
    """A started intake on SQLite with a real Redis behind its bell; ``door.intake.database`` is the ledger."""
    with open_door(sqlite, redis_url, tmp_path, None) as opened:
        yield opened


@pytest.fixture(params=["here", "apart"])
def written_door(request: pytest.FixtureRequest, sqlite: Database, redis_url: str, tmp_path: Path) -> Iterator[Door]:
    """The same, whose groups the intake's own thread writes, and then a process of its own."""
    apart = WriteApart(sqlite, slot="test", window=Window()) if request.param == "apart" else None
    with open_door(sqlite, redis_url, tmp_path, apart) as opened:
        yield opened


@contextmanager
def open_door(database: Database, redis_url: str, folder: Path, writer: Writer | None) -> Iterator[Door]:
    """A door with a started intake."""
    ring = RingThread(Bell(redis_url))
    ring.start()
    intake = Intake(database, ring, Measures(), slot="test", writer=writer)
    intake.start()
    feeds = FeedsConfig(folder / "config")
    identities = Identities(b"a key for tests", feeds.authorities)
    yield Door(intake=intake, store=ContentStore(folder / "content"), identities=identities, feeds=feeds)
    intake.stop()
    ring.stop()


@pytest.fixture(autouse=True)
def _quiet_third_parties() -> Iterator[None]:
    """Warnings are errors, but for those of libraries that we cannot mend."""
    with warnings.catch_warnings():
        yield
