"""HL7 times (TS, DTM): with an offset as written, without one in the feed's own time zone.

In the hour that a clock shows twice in autumn the first is taken and the moment is flagged. A time that the clock skips in
spring is read with the offset from before the change, as if the clock had not been moved yet, and flagged likewise.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

from stream.errors import Refused

#: How far a sender's clock may run ahead.
TOLERANCE = timedelta(minutes=5)

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:\.(\d{1,6})\d*)?([+-]\d{4})?")
_DATE = re.compile(r"(\d{4})(?:(\d\d)(\d\d)?)?(?:[+-]\d{4})?")
_EARLIEST_YEAR = 1880

#: Nobody has been older, in years.
OLDEST = 150
#: From this age on, in years, an age has no decimals (``stream.facts``).
YEARS_ARE_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Moment:
    """``at``: UTC. ``doubtful``: the local time stands twice, or not at all, on its day."""

    at: datetime
    doubtful: bool = False


@lru_cache(maxsize=4096)
def read_moment(text: str, zone: ZoneInfo) -> Moment:
    """Of a time to the minute or finer; raises Refused: a date without a time, not a time."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise Refused("a date without a time" if _DATE.fullmatch(text.strip()) else "not a time")
    year, month, day, hour, minute, second = (int(number or 0) for number in match.groups()[:6])
    fraction, offset = match[7] or "", match[8]
    try:
        local = datetime(year, month, day, hour, minute, second, int(fraction.ljust(6, "0")))  # noqa: DTZ001 - the zone follows
        moment = Moment(local.replace(tzinfo=_offset(offset)).astimezone(UTC)) if offset else _in_zone(local, zone)
    except (ValueError, OverflowError) as error:
        raise Refused("not a time") from error
    if local.year < _EARLIEST_YEAR:
        raise Refused("not a time")
    return moment


def _offset(written: str) -> timezone:
    minutes = int(written[1:3]) * 60 + int(written[3:5])
    return timezone(timedelta(minutes=minutes if written[0] == "+" else -minutes))


def _in_zone(local: datetime, zone: ZoneInfo) -> Moment:
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    return Moment(first.astimezone(UTC), doubtful=first.utcoffset() != second.utcoffset())


def first_moment(texts: tuple[str, ...], zone: ZoneInfo, now: datetime) -> Moment | None:
    """The first of ``texts`` that is a time and not in the future; None when there is none."""
    for text in texts:
        try:
            moment = read_moment(text, zone) if text else None
        except Refused:
            continue
        if moment and moment.at <= now + TOLERANCE:
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
