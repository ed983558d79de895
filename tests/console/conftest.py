"""Fixtures: a console on a real socket beside the feeds, and a live system with a hospital's sendings for a real browser."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "system"))
sys.path.insert(0, str(Path(__file__).parent))

from browser import browser, missing
from consoles import TOKEN, Live, Open, opened
from ledger_samples import EXPLANATIONS, dead_event
from started import Up, running_up

from db.backlogs import advance, open_backlog, take_over
from db.explanations import explain
from dxstream.hospital.book import Book
from dxstream.hospital.planning import plan
from dxstream.hospital.send import send_all
from producers.door import Door
from stream.explanation import Explanation


@pytest.fixture
def console(door: Door, tmp_path: Path) -> Iterator[Callable[..., Open]]:
    """Opens a console with settings of the test's own; closed at the end."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(opened(door, tmp_path, **settings))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """``dxstream up`` with 18 cases, one of each kind explained, a few dead events and a backlog under way."""
    if missing():
        pytest.skip(f"no page was looked at: {missing()} is not installed")
    folder = tmp_path_factory.mktemp("console")
    with running_up(folder / "home", DXSTREAM_CONSOLE_TOKEN=TOKEN, DXSTREAM_EXPLAIN="off") as up:
        send_all(plan(18, 11, datetime.now(UTC)), up.ports, Book(folder / "book.jsonl"), lambda _: None)
        with up.ledger.database.write() as (connection, now):
            for number in range(4):
                dead_event(connection, now, number)
            _backlog(connection, now)
        up.ledger.settle()
        ids = {modality: _explained(up, modality, found) for modality, found in EXPLANATIONS.items()}
        with browser(f"http://127.0.0.1:{up.addresses['http']}", folder / "profile") as window:
            yield Live(up, window, ids)


def _backlog(connection: Any, now: datetime) -> None:
    """Half of it done, under way."""
    values = {"source": {"paths": ["archive"]}, "in_place": True, "rate": 50.0, "hours": "22:00-06:00", "depth": 2000}
    row = open_backlog(connection, now, "archive of 2016", values)
    fence = take_over(connection, now, row["id"], "host:1", gone=True)
    advance(
        connection, row["id"], fence, {"files": 2000, "taken": 900, "known": 60, "refused": 12}, files_per_second=48.5, eta_at=now
    )


def _explained(up: Up, modality: str, found: Explanation) -> int:
    """The newest event of this kind that was predicted; its explanation is put beside it."""
    text = "SELECT p.id, p.event_id FROM events e JOIN predictions p ON p.event_id = e.id WHERE e.modality = :m ORDER BY p.id DESC"
    row = up.ledger.rows(text, m=modality)[0]
    with up.ledger.database.write() as (connection, now):
        explain(connection, now, row["id"], [found])
    return int(row["event_id"])
