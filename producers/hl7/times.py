"""HL7 times (TS, DTM): with an offset as written, without one in the feed's own time zone."""

import calendar
import re
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from stream.errors import Refused
from stream.moments import MOST_AHEAD, Moment, moment_of

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:\.(\d{1,6})\d*)?([+-]\d{4})?")
_DATE = re.compile(r"(\d{4})(?:(\d\d)(\d\d)?)?(?:[+-]\d{4})?")
_EARLIEST_YEAR = 1880

#: Nobody has been older, in years.
OLDEST = 150
#: From this age on, in years, an age has no decimals (``stream.facts``).
YEARS_ARE_ENOUGH = 2


@lru_cache(maxsize=256)  # a message repeats its own times; those of others would only take room
def read_moment(text: str, zone: ZoneInfo) -> Moment:
    """Of a time to the minute or finer; raises Refused: a date without a time, not a time."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise Refused("a date without a time" if _DATE.fullmatch(text.strip()) else "not a time")
    year, month, day, hour, minute, second = (int(number or 0) for number in match.groups()[:6])
    fraction, offset = match[7] or "", match[8]
    try:
        written_in = _offset(offset) if offset else zone
        local = datetime(year, month, day, hour, minute, second, int(fraction.ljust(6, "0")), tzinfo=written_in)
        moment = moment_of(local)
    except (ValueError, OverflowError) as error:
        raise Refused("not a time") from error
    if local.year < _EARLIEST_YEAR:
        raise Refused("not a time")
    return moment


def _offset(written: str) -> timezone:
    minutes = int(written[1:3]) * 60 + int(written[3:5])
    return timezone(timedelta(minutes=minutes if written[0] == "+" else -minutes))


def first_moment(texts: tuple[str, ...], zone: ZoneInfo, now: datetime) -> Moment | None:
    """The first of ``texts`` that is a time and not in the future; None when there is none."""
    for text in texts:
        try:
            moment = read_moment(text, zone) if text else None
        except Refused:
            continue
        if moment and moment.at <= now + MOST_AHEAD:
            return moment
    return None


def least_age(born: str, at: datetime, zone: ZoneInfo) -> float | None:
    """Completed years at ``at``, with two decimals below 2 years; None when they cannot be told.

    A birth date of only a year or a month allows several ages: the least one is given, unless it is below 2 years.
    """
    match = re.match(r"(\d{4})(\d\d)?(\d\d)?", born)
    if match is None:
        return None
    year, month, day = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    today = at.astimezone(zone).date()
    try:
        latest = _latest_birthday(year, month, day)
    except ValueError:
        return None
    years = today.year - latest.year - ((today.month, today.day) < (latest.month, latest.day))
    if not 0 <= years <= OLDEST:
        return None
    if years >= YEARS_ARE_ENOUGH:
        return float(years)
    return round((today - latest).days / 365.25, 2) if day else None


def _latest_birthday(year: int, month: int, day: int) -> date:
    month = month or 12
    return date(year, month, day or calendar.monthrange(year, month)[1])
