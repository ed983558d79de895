"""When a stay is judged."""

from datetime import UTC, datetime, timedelta

from stream.window import Window

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = timedelta(hours=1)


def closes(now: datetime, first: datetime | None = None) -> datetime:
    return Window().close_at(origin=ORIGIN, now=now, first_touched=first or now)


def test_a_window_that_still_runs_closes_an_hour_after_its_end():
    assert closes(ORIGIN + 3 * HOURS) == ORIGIN + 49 * HOURS


def test_a_window_of_the_past_closes_after_five_seconds_of_quiet():
    now = ORIGIN + 100 * HOURS
    assert closes(now) == now + timedelta(seconds=5)


def test_a_window_that_is_never_quiet_closes_after_a_minute():
    first = ORIGIN + 100 * HOURS
    assert closes(first + timedelta(seconds=58), first) == first + timedelta(seconds=60)
