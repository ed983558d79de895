"""A local time on the days on which clocks change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from stream.moments import Moment, moment_of

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("local", "at", "flagged"),
    [
        (datetime(2026, 10, 25, 1, 30, tzinfo=BERLIN), datetime(2026, 10, 24, 23, 30, tzinfo=UTC), False),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 0, 30, tzinfo=UTC), True),
        (datetime(2026, 10, 25, 3, 30, tzinfo=BERLIN), datetime(2026, 10, 25, 2, 30, tzinfo=UTC), False),
        (datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN), datetime(2026, 3, 29, 1, 30, tzinfo=UTC), True),
    ],
)
def test_what_stands_twice_is_taken_the_first_time_and_what_is_skipped_by_the_old_offset(
    local: datetime, at: datetime, flagged: bool
) -> None:
    assert moment_of(local) == Moment(at, repeated_hour=flagged)


def test_an_offset_never_changes() -> None:
    at = datetime(2026, 10, 25, 2, 30, tzinfo=UTC)
    assert moment_of(at) == Moment(at)
