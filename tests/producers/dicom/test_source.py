"""Series that complete by the count of their source, over real associations."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dicom_samples import ct_slice, send
from failing import failing_once
from pydicom.uid import generate_uid

from db.close import Closer
from db.series import EXPECTED, OpenSeries
from db.tables import cases, events, inputs
from producers.dicom import source
from producers.dicom.feed import DicomFeed
from producers.dicom.source import Asker, ask_counts, step_of
from producers.door import Door
from stream.feeds import FeedsConfig, Source
from stream.settings import BadSettingError
from stream.window import Window

sys.path.insert(0, str(Path(__file__).parent))

from sources import Archive, running_archive

QUIET = 1.0


@pytest.fixture
def archive() -> Iterator[Archive]:
    with running_archive() as archive:
        yield archive


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LOOK_SECONDS", 0.05)


def configure(door: Door, port: int, quiet: float = QUIET) -> None:
    place = f'host = "127.0.0.1"\nport = {port}\nae_title = "PACS"\n'
    text = f"[dicom]\nquiet_seconds = {{ CT = {quiet} }}\n[dicom.sources.CT1]\n{place}"
    door.feeds.folder.mkdir(parents=True, exist_ok=True)
    (door.feeds.folder / "feeds.toml").write_text(text)


@contextmanager
def running(door: Door) -> Iterator[DicomFeed]:
    feed = DicomFeed(door, bind="127.0.0.1", port=0, ae_title="DXSTREAM")
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


def rows(door: Door, table: sa.Table) -> list[Any]:
    with door.intake.database.read() as connection:
        return list(connection.execute(sa.select(table)).mappings())


def close(door: Door) -> list[Any]:
    """One sweep of the keeper; the events so far."""
    closer = Closer(store=door.store, window=Window(), codes=(), slot="test")
    with door.intake.database.write() as (connection, now):
        closer.close_due(connection, now)
    return rows(door, events)


def until(told: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not told() and time.monotonic() < end:
        time.sleep(0.02)
    return told()


def expected(door: Door) -> int | None:
    return rows(door, cases)[0]["expected"]


def test_a_count_that_is_reached_closes_before_silence_would(door: Door, archive: Archive) -> None:
    configure(door, archive.port, quiet=8)
    series = generate_uid()
    archive.counts[series] = 3
    with running(door) as feed:
        for number in range(3):
            assert send(feed.port, ct_slice(series, number), title="CT1").Status == 0
        assert not close(door)
        assert until(lambda: expected(door) == 3, seconds=7)
        (event,) = close(door)
    assert event["facts"][EXPECTED] == 3
    assert archive.asked[0].NumberOfSeriesRelatedInstances is None


def test_while_the_source_has_more_it_is_waited_for_and_the_last_instance_closes(door: Door, archive: Archive) -> None:
    configure(door, archive.port)
    series = generate_uid()
    archive.counts[series] = 2
    with running(door) as feed:
        send(feed.port, ct_slice(series, 1), title="CT1")
        assert until(lambda: expected(door) == 2)
        time.sleep(1.2 * QUIET)
        assert not close(door)
        send(feed.port, ct_slice(series, 2), title="CT1")
        assert len(close(door)) == 1


def test_a_restart_in_the_middle_of_a_series_loses_nothing(door: Door, archive: Archive) -> None:
    configure(door, archive.port)
    series = generate_uid()
    with running(door) as feed:
        send(feed.port, ct_slice(series, 1), title="CT1")
    archive.counts[series] = 2
    with running(door) as feed:
        assert until(lambda: expected(door) == 2)
        send(feed.port, ct_slice(series, 2), title="CT1")
        (event,) = close(door)
    assert {kept["event_id"] for kept in rows(door, inputs)} == {event["id"]}


def test_a_late_slice_is_counted_again_and_makes_the_next_revision(door: Door, archive: Archive) -> None:
    configure(door, archive.port)
    series = generate_uid()
    archive.counts[series] = 1
    with running(door) as feed:
        send(feed.port, ct_slice(series, 1), title="CT1")
        assert until(lambda: len(close(door)) == 1)
        archive.counts[series] = 2
        send(feed.port, ct_slice(series, 2), title="CT1")
        assert until(lambda: len(close(door)) == 2)
    assert [(event["revision"], event["facts"][EXPECTED]) for event in rows(door, events)] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("told", [None, 0, "unknown series"])
def test_a_source_that_does_not_say_leaves_it_to_silence(door: Door, archive: Archive, told: Any) -> None:
    configure(door, archive.port)
    series = generate_uid()
    if told != "unknown series":
        archive.counts[series] = told
    with running(door) as feed:
        send(feed.port, ct_slice(series, 1), title="CT1")
        assert until(lambda: len(archive.asked) >= 2)
        assert until(lambda: len(close(door)) == 1)
    assert EXPECTED not in rows(door, events)[0]["facts"]


def test_a_source_that_is_away_leaves_it_to_silence(door: Door) -> None:
    configure(door, 9)
    with running(door) as feed:
        send(feed.port, ct_slice(generate_uid(), 1), title="CT1")
        assert until(lambda: len(close(door)) == 1)


def test_the_release_of_an_association_completes_nothing(door: Door, archive: Archive) -> None:
    configure(door, archive.port, quiet=60)
    with running(door) as feed:
        for number in range(3):
            send(feed.port, ct_slice("1.2.3", number), title="CT1")
        time.sleep(0.3)
        assert not close(door)
        assert not archive.asked


def test_what_another_sender_sent_is_not_asked_for(door: Door, archive: Archive) -> None:
    configure(door, archive.port, quiet=0.3)
    with running(door) as feed:
        send(feed.port, ct_slice(generate_uid(), 1), title="OTHER")
        assert until(lambda: len(close(door)) == 1)
    assert not archive.asked


def open_series(silent: float, quiet: float = 100, *, series: str = "1.2.3") -> OpenSeries:
    touched = datetime(2026, 3, 1, tzinfo=UTC)
    return OpenSeries(case_id=1, study="1.2", series=series, touched_at=touched, silent_seconds=silent, quiet_seconds=quiet)


def test_it_is_asked_when_it_went_quiet_again_before_its_time_and_once_a_quiet_time_after() -> None:
    assert [step_of(open_series(silent)) for silent in (0, 24, 25, 74, 75, 174, 175, 275)] == [0, 0, 1, 1, 2, 2, 3, 4]


def test_one_association_asks_for_many_series(archive: Archive) -> None:
    archive.counts = {"1.2.1": 4, "1.2.3": 7}
    place = Source(host="127.0.0.1", port=archive.port, ae_title="PACS")
    asked = [open_series(1, series=series) for series in ("1.2.1", "1.2.2", "1.2.3")]
    assert [count for _, count in ask_counts(place, asked, ae_title="DXSTREAM")] == [4, 7]


@pytest.mark.parametrize("line", ['host = ""', 'host = "h"\nport = 0', 'host = "h"\nae_title = "seventeen letters"', "port = 104"])
def test_a_source_that_cannot_be_is_said_at_the_start(tmp_path: Path, line: str) -> None:
    (tmp_path / "feeds.toml").write_text(f"[dicom.sources.CT1]\n{line}\n")
    with pytest.raises(BadSettingError, match=r"dicom\.sources\.CT1"):
        FeedsConfig(tmp_path).feed("dicom")


def test_a_source_is_asked_again_after_an_error_that_nobody_expected(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "LOOK_SECONDS", 0.01)
    asker = Asker(door.intake.database, "CT1", Source(host="127.0.0.1", port=1, ae_title="PACS"), ae_title="DXSTREAM")
    again = threading.Event()
    monkeypatch.setattr(asker, "look", failing_once(again))
    asker.start()
    assert again.wait(20)
    asker.stop()
