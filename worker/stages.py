"""Which stage each thread of a worker is in, and whether one has passed its deadline."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

#: A stage that takes longer has hung; the heartbeat then ends the process. Seconds.
DEADLINES = {"claim": 60.0, "fetch": 60.0, "prepare": 120.0, "infer": 300.0, "save": 600.0, "load": 300.0, "explain": 300.0}


class Stages:
    """Shared by the batch's threads, which write, and the heartbeat, which reads."""

    def __init__(self) -> None:
        self._now: dict[int, tuple[str, float]] = {}
        self._main = threading.get_ident()

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """This thread is in ``stage`` while the block runs."""
        me = threading.get_ident()
        before = self._now.get(me)
        self._now[me] = (stage, time.monotonic())
        try:
            yield
        finally:
            if before is None:
                del self._now[me]
            else:
                self._now[me] = before

    def overdue(self) -> str | None:
        """The stage that has passed its deadline, if there is one."""
        now = time.monotonic()
        return next((stage for stage, since in list(self._now.values()) if now - since > DEADLINES[stage]), None)

    def current(self) -> str:
        """The stage of the longest-running thread; empty when idle."""
        return min(list(self._now.values()), key=lambda entry: entry[1], default=("", 0.0))[0]
