"""Rates, hours and estimates."""

from datetime import datetime, timedelta

import pytest

from producers.backlog.pace import Hours, Rate, Speed, finished_at
from stream.settings import BadSettingError

NIGHT = Hours.read("22:00-06:00")
EVENING = datetime(2026, 3, 1, 21, 0)  # noqa: DTZ001 - the local clock


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("hour", "held"), [(21, False), (22, True), (23, True), (0, True), (5, True), (6, False), (12, False)])
def test_hours_over_midnight_hold_on_both_sides_of_it(hour, held):
    assert NIGHT.hold(EVENING.replace(hour=hour)) is held


@pytest.mark.parametrize(("hour", "held"), [(7, False), (8, True), (16, True), (17, False), (0, False)])
def test_hours_of_one_day_hold_within_it(hour, held):
    assert Hours.read("08:00-17:00").hold(EVENING.replace(hour=hour)) is held


def test_hours_that_begin_when_they_end_hold_always():
    assert Hours.read("05:00-05:00").hold(EVENING)


def test_no_hours_are_none():
    assert Hours.read("") is None


@pytest.mark.parametrize("text", ["22-06", "24:00-06:00", "22:00", "22:61-06:00", "nightly"])
def test_what_is_no_window_is_refused_with_the_way_to_write_it(text):
    with pytest.raises(BadSettingError, match="22:00-06:00"):
        Hours.read(text)


def test_an_hour_of_work_begins_when_the_hours_begin():
    assert finished_at(EVENING, 3600, NIGHT) == EVENING + timedelta(hours=2)


def test_work_of_more_than_one_night_goes_on_in_the_next():
    assert finished_at(EVENING, 9 * 3600, NIGHT) == EVENING + timedelta(hours=26)


def test_work_of_many_nights_is_done_that_many_nights_later():
    assert finished_at(EVENING, (5 * 8 + 1) * 3600, NIGHT) == EVENING + timedelta(days=5, hours=2)


def test_without_hours_work_takes_as_long_as_it_takes():
    assert finished_at(EVENING, 60, None) == EVENING + timedelta(minutes=1)


def test_an_end_beyond_ten_years_is_not_told():
    assert finished_at(EVENING, 1e12, None) is None


def test_a_rate_spaces_files_evenly():
    rate = Rate(Clock())
    assert [rate.delay(10, 5.0) for _ in range(3)] == [0.0, 2.0, 4.0]


def test_a_rate_gives_no_credit_for_idle_time():
    clock = Clock()
    rate = Rate(clock)
    clock.now += 1000
    rate.delay(10, 5.0)
    assert rate.delay(10, 5.0) == 2.0


def test_without_a_rate_nothing_waits():
    rate = Rate(Clock())
    assert [rate.delay(100, None) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_the_speed_is_that_of_the_last_minute():
    clock = Clock()
    speed = Speed(clock)
    for files in [1] * 100 + [10] * 70:
        clock.now += 1.0
        speed.add(files)
    assert speed.per_second == pytest.approx(10.0)


def test_the_speed_leaves_out_a_pause():
    clock = Clock()
    speed = Speed(clock)
    clock.now += 1.0
    speed.add(5)
    clock.now += 3600
    speed.start_again()
    clock.now += 1.0
    speed.add(5)
    assert speed.per_second == pytest.approx(5.0)
