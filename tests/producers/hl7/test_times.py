"""Times: offsets, zones, the hours when clocks are changed, ages."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from producers.hl7.times import first_moment, least_age, read_moment
from stream.errors import Refused

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def test_an_offset_is_taken_as_written() -> None:
    assert read_moment("20261120130000.25+0130", BERLIN).at == datetime(2026, 11, 20, 11, 30, 0, 250000, tzinfo=UTC)


def test_a_time_without_an_offset_is_in_the_feeds_zone() -> None:
    assert read_moment("202607201300", BERLIN).at == datetime(2026, 7, 20, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize("sent", ["2026", "202611", "20261120", "20261120+0100"])
def test_a_date_alone_never_becomes_midnight(sent: str) -> None:
    with pytest.raises(Refused, match="a date without a time"):
        read_moment(sent, BERLIN)


@pytest.mark.parametrize(
    "sent", ["yesterday", "20261320120000", "20261120250000", "2026112012", "00010101000000-1400", "18000101120000"]
)
def test_what_is_no_time_is_refused(sent: str) -> None:
    with pytest.raises(Refused, match="not a time"):
        read_moment(sent, BERLIN)


def test_the_repeated_hour_in_autumn_takes_the_first_and_is_flagged() -> None:
    moment = read_moment("20261025023000", BERLIN)
    assert moment.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert moment.repeated_hour
    assert not read_moment("20261025023000+0100", BERLIN).repeated_hour
    assert not read_moment("20261025033000", BERLIN).repeated_hour


def test_an_hour_that_does_not_exist_in_spring_is_read_by_the_old_offset_and_flagged() -> None:
    moment = read_moment("20260329023000", BERLIN)
    assert moment.at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert moment.repeated_hour


def test_the_first_usable_time_skips_dates_and_the_future() -> None:
    ahead = (NOON + timedelta(hours=1)).strftime("%Y%m%d%H%M%S+0000")
    moment = first_moment(("", "20261120", ahead, "20261120100000"), ZoneInfo("UTC"), NOON)
    assert moment is not None
    assert moment.at == datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("born", "age"),
    [
        ("19610203", 65),
        ("19611121", 64),
        ("19611120", 65),
        ("1961", 64),
        ("196111", 64),
        ("196110", 65),
        ("20260520", 0.5),
        ("2025", None),
        ("20270101", None),
        ("15000101", None),
        ("19611399", None),
        ("", None),
    ],
)
def test_an_age_is_in_completed_years_and_never_more_than_the_birth_date_allows(born: str, age: float | None) -> None:
    assert least_age(born, NOON, BERLIN) == age
