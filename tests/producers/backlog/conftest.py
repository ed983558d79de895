"""Fixtures of the backlog's tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pushing import Pushing

from db.engine import Database


@pytest.fixture
def pushing(sqlite: Database, redis_url: str, tmp_path: Path) -> Pushing:
    """On SQLite."""
    return Pushing(sqlite, redis_url, tmp_path)


@pytest.fixture
def pushing_on_both(database: Database, redis_url: str, tmp_path: Path) -> Pushing:
    """On SQLite and on PostgreSQL."""
    return Pushing(database, redis_url, tmp_path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The folder that is pushed."""
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder
