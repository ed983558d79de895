"""What is observed of a batch once it is saved: stages, latencies and sizes by modality; then single events in the log."""

from collections.abc import Sequence
from datetime import datetime

from stream.event import Event, Judged, NotPredicted, Predicted
from stream.metrics import Measures
from worker.tell import tell


def observe(measures: Measures, judged: Sequence[Judged], now: datetime, save_seconds: float) -> None:
    """``now``: of the save, by the database; ``save_seconds``: an event's part of it."""
    for modality in {one.event.modality for one in judged}:
        mine = [one for one in judged if one.event.modality == modality]
        measures.observe("dxstream_batch_size", len(mine), modality=modality)
        stages = {
            **{stage: [one.seconds[stage] for one in mine if stage in one.seconds] for stage in ("fetch", "prepare", "infer")},
            "gather": [one.event.gather_seconds or 0.0 for one in mine],
            "wait": [one.event.waited_seconds for one in mine],
            "save": [save_seconds] * len(mine),
        }
        for stage, values in stages.items():
            if values:
                measures.observe_all("dxstream_stage_seconds", values, modality=modality, stage=stage)
        _observe_latency(measures, modality, [one.event for one in mine if isinstance(one.verdict, Predicted | NotPredicted)], now)
    for one in judged:
        tell(one, now)


def _observe_latency(measures: Measures, modality: str, done: Sequence[Event], now: datetime) -> None:
    for lane in {event.lane for event in done}:
        latencies = [(now - event.received_at).total_seconds() for event in done if event.lane == lane]
        measures.observe_all("dxstream_latency_seconds", latencies, modality=modality, lane=lane)
    turnarounds = [(now - event.acquired_at).total_seconds() for event in done if event.acquired_at]
    if turnarounds:
        measures.observe_all("dxstream_turnaround_seconds", turnarounds, modality=modality)
