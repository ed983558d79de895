"""When a stay is judged: the window that a lab card declares."""

from dataclasses import dataclass
from datetime import datetime, timedelta

#: The moment that a stay's window is counted from, in the words of a lab card: the first admission or transfer into intensive care.
ORIGIN = "icu_admission"
#: A gathering stay is judged after so much silence …
QUIET = timedelta(seconds=5)
#: … but never later than this after the first input that it has not judged yet.
AT_MOST = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Window:
    """``length`` from the origin by observation time; ``grace`` is how long late results are waited for."""

    length: timedelta = timedelta(hours=48)
    grace: timedelta = timedelta(hours=1)

    def close_at(self, *, origin: datetime, now: datetime, first_touched: datetime) -> datetime:
        """When the window is complete and quiet."""
        return max(origin + self.length + self.grace, min(now + QUIET, first_touched + AT_MOST))
