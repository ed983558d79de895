"""Attachments that could not be fetched: when each may be asked for again, and when it is given up. Knows no HTTP."""

import threading

#: An attachment that could not be had for so long is given up, in seconds: longer than a night's maintenance.
PATIENCE_SECONDS = 6 * 3600.0

#: Between two tries at most, in seconds.
MOST_PAUSE = 900.0

#: More addresses than these are not remembered: the oldest are tried anew.
MOST_ADDRESSES = 10_000


class Failing:
    """Addresses with the moments of their first and last failure. ``now``: monotonic seconds. For several threads."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def is_due(self, address: str, now: float) -> bool:
        """Whether an address may be asked: after each failure it is left alone for as long as it has been failing."""
        first, last = self._failures.get(address, (now, now))
        return now - last >= min(last - first, MOST_PAUSE)

    def failed(self, address: str, now: float) -> bool:
        """Remember a failure; True when the address is given up."""
        with self._lock:
            first, last = self._failures.pop(address, (now, now))
            if now - last > PATIENCE_SECONDS:  # nobody asked meanwhile, so nobody knows how it was
                first = now
            if now - first >= PATIENCE_SECONDS:
                return True
            self._failures[address] = (first, now)
            if len(self._failures) > MOST_ADDRESSES:
                del self._failures[next(iter(self._failures))]
            return False

    def fetched(self, address: str) -> None:
        """It could be had."""
        with self._lock:
            self._failures.pop(address, None)
