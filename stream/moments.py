"""Moments as feeds tell them: with an offset, or by the clock on the wall of the feed's own time zone. Knows no protocol."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

#: How far a sender's clock may run ahead of ours: a time beyond it is wrong.
MOST_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Moment:
    """``at``: UTC. ``repeated_hour``: a local time that stands twice on its day, or not at all, as clocks change."""

    at: datetime
    repeated_hour: bool = False


def moment_of(local: datetime) -> Moment:
    """Of a time with an offset or a time zone; raises OverflowError on the first or last day of all.

    In the hour that a clock shows twice in autumn the first is taken. A time that the clock skips in spring is read with the
    offset from before the change, as if the clock had not been moved yet.
    """
    first, again = local.replace(fold=0), local.replace(fold=1)
    return Moment(first.astimezone(UTC), repeated_hour=first.utcoffset() != again.utcoffset())
