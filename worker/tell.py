"""What the log says of single events: who gave up, and what was slow; ``event`` is what all lines about one have in common."""

import logging
from datetime import datetime

from stream.event import GivenUp, Judged

log = logging.getLogger(__name__)

#: An event that took longer from its last input to its end is told with the seconds of each stage.
SLOW_SECONDS = 60.0


def tell(judged: Judged, now: datetime) -> None:
    """One line at most; a verdict that came in time is told by the metrics alone."""
    event, verdict = judged.event, judged.verdict
    extra = {"event": event.id}
    seconds = (now - event.received_at).total_seconds()
    if isinstance(verdict, GivenUp):
        log.error(
            "event %d is dead after %d attempts: %s at %s", event.id, event.attempts, verdict.reason, verdict.stage, extra=extra
        )
    elif seconds > SLOW_SECONDS and event.lane != "backlog":
        stages = ", ".join(f"{stage} {took:.3f}" for stage, took in sorted(judged.seconds.items()))
        waited = event.waited_seconds
        log.info("event %d took %.1f s: waited %.3f, %s", event.id, seconds, waited, stages, extra=extra)
