"""How long things are kept, as the environment says it."""

from datetime import timedelta

import pytest

from stream.keep import BadKeepError, Keep, read_keep


def read(**values: str) -> Keep:
    return read_keep(lambda name: values.get(name, ""))


def test_everything_is_kept_unless_it_is_said_otherwise():
    assert read() == Keep()
    assert not read().anything


def test_each_kind_has_days_of_its_own():
    kept = read(KEEP_CONTENT_DAYS="30", KEEP_EVENTS_DAYS="365", KEEP_DEAD_DAYS="0.5")
    assert (kept.content, kept.events, kept.dead) == (timedelta(days=30), timedelta(days=365), timedelta(hours=12))
    assert kept.predictions is None


def test_content_is_kept_no_longer_than_the_events_where_nothing_is_said_of_it():
    assert read(KEEP_EVENTS_DAYS="7").content == timedelta(days=7)


def test_content_is_never_kept_for_less_than_a_day():
    assert read(KEEP_CONTENT_DAYS="0.01").content == timedelta(days=1)


@pytest.mark.parametrize("text", ["0", "-1", "ten", "nan", "inf", "1e300"])
def test_what_is_no_number_of_days_is_named(text):
    with pytest.raises(BadKeepError, match="DXSTREAM_KEEP_DEAD_DAYS"):
        read(KEEP_DEAD_DAYS=text)
