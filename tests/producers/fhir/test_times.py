"""FHIR's times: what is a moment, what is not, and how old a patient was."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from producers.fhir.times import age_years, first_moment, last_updated, read_moment
from stream.errors import Refused

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-03-01T08:00:00Z", "2026-03-01T08:00:00+00:00"),
        ("2026-03-01T08:00:00.123+01:00", "2026-03-01T07:00:00.123000+00:00"),
        ("2026-03-01T08:00-0500", "2026-03-01T13:00:00+00:00"),
        ("2026-07-01T08:00:00", "2026-07-01T06:00:00+00:00"),
    ],
)
def test_a_time_without_an_offset_is_in_the_feeds_zone(written, utc):
    assert read_moment(written, BERLIN).at.isoformat() == utc


@pytest.mark.parametrize(
    "written",
    ["2026", "2026-03", "2026-03-01", "yesterday", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-03-01T25:00:00Z"],
)
def test_what_is_no_full_time_is_refused(written):
    with pytest.raises(Refused):
        read_moment(written, BERLIN)


def test_the_repeated_hour_is_flagged():
    assert read_moment("2025-10-26T02:30:00", BERLIN).repeated_hour
    assert not read_moment("2025-10-26T02:30:00+02:00", BERLIN).repeated_hour
    assert read_moment("2025-03-30T02:30:00", BERLIN).repeated_hour, "skipped in spring"


@pytest.mark.parametrize(
    ("born", "age"),
    [
        ("1950-03-02", 75),
        ("1950-03-01", 76),
        ("2008-02-29", 18),
        ("2025-03-01", 0.999),
        ("1950", None),
        ("1950-02", 76),
        ("1950-03", None),
        ("2027-01-01", None),
        ("0000-01-01", None),
        ("9999-12", None),
        ("1950-02-31", None),
        ("", None),
    ],
)
def test_age_is_in_completed_years_and_left_out_where_it_is_open(born, age):
    assert age_years(born, date(2026, 3, 1)) == age


def test_what_orders_versions_is_never_ahead_of_its_receipt():
    now = datetime(2026, 3, 1, 8, tzinfo=UTC)
    ahead, right = "2026-03-01T08:05:01Z", "2026-03-01T08:04:59Z"
    assert last_updated({"meta": {"lastUpdated": ahead}}, BERLIN, now) is None
    assert last_updated({"meta": {"lastUpdated": right}}, BERLIN, now) == datetime(2026, 3, 1, 8, 4, 59, tzinfo=UTC)
    assert first_moment({"issued": ahead, "date": right}, ("issued", "date"), BERLIN, now) is not None
