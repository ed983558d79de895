"""The dates and times of a DICOM header: DA, TM and DT values as Python's, in UTC where they are moments. Pure."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone, tzinfo

from stream.moments import MOST_AHEAD, Moment, moment_of

#: Where the moment of acquisition is looked for after AcquisitionDateTime, the best first.
_MOMENTS = (("AcquisitionDate", "AcquisitionTime"), ("ContentDate", "ContentTime"), ("StudyDate", "StudyTime"))

#: TM: ``HHMMSS.FFFFFF``, from the right as little as is known; colons are of the old ACR-NEMA form.
_TIME = re.compile(r"(\d\d):?(?:([0-5]\d)(?::?([0-5]\d|60)(?:\.(\d{1,6}))?)?)?")
_OFFSET = re.compile(r"([+-])(\d\d)([0-5]\d)")


def acquired(texts: Mapping[str, str], *, zone: tzinfo, received_at: datetime) -> Moment | None:
    """When the image was taken, in UTC: a date alone is no time, and a time in the future is a wrong clock; then None."""
    local = _offset(texts.get("TimezoneOffsetFromUTC", "")) or zone
    stamp = texts.get("AcquisitionDateTime", "")
    written, own = (stamp[:-5], _offset(stamp[-5:])) if _OFFSET.fullmatch(stamp[-5:]) else (stamp, None)
    moments = [_moment(written[:8], written[8:], own or local)]
    moments += [_moment(texts.get(day, ""), texts.get(clock, ""), local) for day, clock in _MOMENTS]
    for moment in moments:
        if moment is not None:
            return moment if moment.at <= received_at + MOST_AHEAD else None
    return None


def _moment(day: str, clock: str, zone: tzinfo) -> Moment | None:
    on, at = date_of(day), _TIME.fullmatch(clock)
    if on is None or at is None:
        return None
    hour, minute, second = int(at[1]), int(at[2] or 0), min(int(at[3] or 0), 59)
    try:
        fraction = int((at[4] or "0").ljust(6, "0"))
        return moment_of(datetime(on.year, on.month, on.day, hour, minute, second, fraction, tzinfo=zone))
    except (ValueError, OverflowError):  # hour 24 and more; the first or last day of all
        return None


def date_of(text: str) -> date | None:
    """A DA value, ``YYYYMMDD`` or the old ``YYYY.MM.DD``."""
    digits = text.replace(".", "")
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:  # a month 13, a 30 February
        return None


def _offset(text: str) -> timezone | None:
    found = _OFFSET.fullmatch(text)
    if found is None or int(found[2]) > 14:
        return None
    span = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(span if found[1] == "+" else -span)
