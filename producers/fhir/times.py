"""FHIR's date, dateTime and instant as moments; a date alone never becomes midnight."""

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from producers.fhir.elements import Element, element, text
from stream.errors import Refused
from stream.moments import MOST_AHEAD, Moment, moment_of

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE)


def read_moment(written: str, zone: ZoneInfo) -> Moment:
    """A dateTime or instant; one without an offset is in ``zone``. Raises Refused, for a date alone too."""
    if _DATE.fullmatch(written):
        raise Refused("a date without a time")
    if not _MOMENT.fullmatch(written):
        raise Refused("no time as FHIR writes it")
    try:
        local = datetime.fromisoformat(written.upper())
        return moment_of(local if local.tzinfo else local.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise Refused("no time that there is") from None


def moment_or_none(written: str, zone: ZoneInfo) -> Moment | None:
    """Like ``read_moment``; None for what is absent or no full time."""
    try:
        return read_moment(written, zone) if written else None
    except Refused:
        return None


def first_moment(parent: Element, names: Sequence[str], zone: ZoneInfo, received_at: datetime | None = None) -> datetime | None:
    """The first of these elements that is a full time; where ``received_at`` is given, one ahead of it is passed over.

    What orders versions needs it: a clock that runs ahead would shut out every later correction.
    """
    found = (moment_or_none(text(parent, name), zone) for name in names)
    return next((one.at for one in found if one and not (received_at and one.at > received_at + MOST_AHEAD)), None)


def effective(observation: Element, zone: ZoneInfo, received_at: datetime) -> Moment:
    """When a result was observed. Raises Refused when that is absent, a date alone, or ahead of its receipt."""
    period = element(observation, "effectivePeriod")
    written = text(observation, "effectiveDateTime") or text(observation, "effectiveInstant") or text(period, "start")
    if not written:
        raise Refused("no observation time")
    moment = read_moment(written, zone)
    if moment.at > received_at + MOST_AHEAD:
        raise Refused("observed in the future")
    return moment


def last_updated(resource: Element, zone: ZoneInfo, received_at: datetime | None = None) -> datetime | None:
    """``meta.lastUpdated``, which orders the versions of a resource; ``received_at``: see ``first_moment``."""
    return first_moment(element(resource, "meta"), ("lastUpdated",), zone, received_at)


def written_date(written: str) -> str:
    """A date, a month or a year as FHIR writes it; empty for anything else."""
    return written[:10] if _DATE.fullmatch(written[:10]) and written.isascii() else ""


def age_years(birth_date: str, on: date) -> float | None:
    """Completed years on a day, as a fraction below 2; None when ``birth_date`` leaves the answer open."""
    first, last = _birth_days(birth_date)
    if first is None or last is None or last > on:
        return None
    completed = _completed(first, on)
    if completed != _completed(last, on):
        return None
    if completed >= 2:
        return completed
    return round((on - first).days / 365.25, 3) if first == last else None


def _completed(born: date, on: date) -> int:
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _birth_days(written: str) -> tuple[date | None, date | None]:
    """The first and the last day that a date, a month or a year can mean."""
    match = _DATE.fullmatch(written[:10])
    if match is None:
        return None, None
    year, month, day = (int(group) if group else None for group in match.groups())
    try:
        first = date(year or 0, month or 1, day or 1)
        if day:
            return first, first
        after = date(first.year + 1, 1, 1) if month in (None, 12) else date(first.year, first.month + 1, 1)
    except ValueError:
        return None, None
    return first, after - timedelta(days=1)
