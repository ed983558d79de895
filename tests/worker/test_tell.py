"""What the log says of single events: their number in common, nothing of what was sent."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest

from dxstream.logs import JsonLines
from stream.event import Event, GivenUp, Judged, NotPredicted
from stream.queues import Lane
from worker.tell import SLOW_SECONDS, tell

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def judged(verdict, *, seconds: float = 1.0, lane: Lane = Lane.ROUTINE) -> Judged:
    received = NOW - timedelta(seconds=seconds)
    event = Event(
        id=41, case_key="sop:1.2.3", revision=1, modality="scan", lane=lane, facts={}, digest="d", inputs_through=0, fence=1,
        attempts=2, failures=0, received_at=received, acquired_at=None, as_of=None, gather_seconds=0.0, suspect=False, alone=False,
        claimed_at=received + timedelta(seconds=0.5),
    )  # fmt: skip
    return Judged(event=event, verdict=verdict, seconds={"infer": 0.25})


UNMATCHED = NotPredicted(outcome="unmatched", reason="no model", model=None)


def lines(caplog: pytest.LogCaptureFixture, one: Judged) -> list[dict]:
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="worker.tell"):
        tell(one, NOW)
    return [json.loads(JsonLines().format(record)) for record in caplog.records]


def test_a_dead_event_is_told_by_its_number_with_stage_and_reason(caplog: pytest.LogCaptureFixture):
    (line,) = lines(caplog, judged(GivenUp(reason="its content is gone", stage="fetch")))
    assert (line["event"], line["level"]) == (41, "error")
    assert line["message"] == "event 41 is dead after 2 attempts: its content is gone at fetch"


def test_a_slow_event_is_told_with_the_seconds_of_its_stages(caplog: pytest.LogCaptureFixture):
    (line,) = lines(caplog, judged(UNMATCHED, seconds=SLOW_SECONDS + 1))
    assert line["message"] == "event 41 took 61.0 s: waited 0.500, infer 0.250"


def test_an_event_in_time_is_not_told(caplog: pytest.LogCaptureFixture):
    assert lines(caplog, judged(UNMATCHED)) == []


def test_a_backlog_may_be_slow(caplog: pytest.LogCaptureFixture):
    assert lines(caplog, judged(UNMATCHED, seconds=9999, lane=Lane.BACKLOG)) == []
