"""How fast, and when: files a second, hours of the day in local time, and when it will be through. Pure."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from stream.settings import BadSettingError

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
#: The speed is taken over so many seconds.
OVER_SECONDS = 60.0
#: Nobody believes an estimate beyond this.
FURTHEST = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class Hours:
    """From ``begin`` until before ``end`` by the local clock, over midnight where ``end`` is earlier; both alike: always."""

    begin: time
    end: time

    @classmethod
    def read(cls, text: str) -> "Hours | None":
        """``22:00-06:00``; None for an empty text. Raises BadSettingError."""
        if not text:
            return None
        match = _HOURS.fullmatch(text.strip())
        if not match:
            raise BadSettingError(f"hours are written as 22:00-06:00, not {text!r}")
        begin_hour, begin_minute, end_hour, end_minute = (int(part) for part in match.groups())
        return cls(begin=time(begin_hour, begin_minute), end=time(end_hour, end_minute))

    def hold(self, local: datetime) -> bool:
        """Whether ``local`` is within them."""
        now = local.time()
        if self.begin <= self.end:
            return self.begin <= now < self.end or self.begin == self.end
        return now >= self.begin or now < self.end

    def seconds_a_day(self) -> float:
        """How long they last."""
        minutes = (self.end.hour - self.begin.hour) * 60 + self.end.minute - self.begin.minute
        return 60.0 * (minutes % 1440 or 1440)

    def until_begin(self, local: datetime) -> float:
        """Seconds from ``local`` until they begin again, 0 within them."""
        if self.hold(local):
            return 0.0
        begins = local.replace(hour=self.begin.hour, minute=self.begin.minute, second=0, microsecond=0)
        return ((begins if begins > local else begins + timedelta(days=1)) - local).total_seconds()

    def until_end(self, local: datetime) -> float:
        """Seconds from ``local``, which is within them, until they are over."""
        if self.begin == self.end:
            return FURTHEST.total_seconds()
        ends = local.replace(hour=self.end.hour, minute=self.end.minute, second=0, microsecond=0)
        return ((ends if ends > local else ends + timedelta(days=1)) - local).total_seconds()


def finished_at(local: datetime, seconds: float, hours: Hours | None) -> datetime | None:
    """When ``seconds`` of work are done that are worked within ``hours`` only; None when that is too far away to say."""
    if seconds > FURTHEST.total_seconds():
        return None
    if hours is None or hours.begin == hours.end:
        return local + timedelta(seconds=seconds)
    local += timedelta(seconds=hours.until_begin(local))
    rest = hours.until_end(local)
    if seconds <= rest:
        return local + timedelta(seconds=seconds)
    seconds -= rest
    nights, over = divmod(seconds, hours.seconds_a_day())
    if nights > FURTHEST.days:
        return None
    ends = local + timedelta(seconds=rest)
    begins = ends + timedelta(seconds=86400 - hours.seconds_a_day())
    return begins + timedelta(days=nights, seconds=over)


class Speed:
    """Files a second over the last minute; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])
        self._total = 0

    def add(self, files: int) -> None:
        """So many more are dealt with."""
        now = self._clock()
        self._total += files
        if now - self._marks[-1][0] >= 1.0 or len(self._marks) == 1:
            self._marks.append((now, self._total))
        while len(self._marks) > 2 and now - self._marks[0][0] > OVER_SECONDS:
            self._marks.popleft()

    def start_again(self) -> None:
        """After a time in which nothing was to be done."""
        self._marks = deque([(self._clock(), self._total)])

    @property
    def per_second(self) -> float | None:
        """None until something is known."""
        elapsed = self._clock() - self._marks[0][0]
        done = self._total - self._marks[0][1]
        return done / elapsed if elapsed > 0.2 and done else None


class Rate:
    """Lets so many files a second pass; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._free_at = clock()

    def delay(self, files: int, per_second: float | None) -> float:
        """Seconds to wait before so many files; they are counted as passed."""
        now = self._clock()
        begins = max(now, self._free_at)
        self._free_at = begins + (files / per_second if per_second else 0.0)
        return begins - now
