"""Fixtures of the system tests: one ``dxstream up`` a test file, and one hospital's sendings for those that only look."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from started import Up, running_up

from dxstream.free_port import free_port
from dxstream.hospital.book import Book
from dxstream.hospital.planning import plan
from dxstream.hospital.send import send_all


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """``dxstream up`` on free ports with one CPU worker; ends by SIGTERM and leaves no process behind."""
    with running_up(tmp_path_factory.mktemp("up") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def up_with_two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The same with two CPU workers, on ports that somebody has chosen."""
    ports = {f"DXSTREAM_{name}_PORT": str(free_port()) for name in ("DICOM", "MLLP", "HTTP", "METRICS")}
    with running_up(tmp_path_factory.mktemp("up") / "home", DXSTREAM_DEVICES="cpu:2", **ports) as running:
        yield running


@pytest.fixture(scope="module")
def hospital(up: Up, tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The book of 30 cases that were sent to ``up``; every event has ended."""
    book = Book(tmp_path_factory.mktemp("book") / "book.jsonl")
    send_all(plan(30, 11, datetime.now(UTC)), up.ports, book, lambda _: None)
    up.ledger.settle()
    return book
