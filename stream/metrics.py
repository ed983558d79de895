"""Every metric of dxstream, by name, labels, unit and source. Histograms are kept in a process and summed over slots.

Counters of inputs and events, and all gauges, are read from the ledger by whoever serves ``/metrics``.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client.utils import floatToGoString

#: 5 ms to 1 h, in seconds.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
#: 0.1 ms to 5 min, in seconds.
STAGE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: 1 s to 30 days, in seconds.
TURNAROUND_BUCKETS = (1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 3 * 86400, 7 * 86400, 30 * 86400)
#: Events judged together.
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

#: Why a batch took no more: it was full; nothing more waited; its events are for several models, so it was judged in smaller parts;
#: a worker died over them; one of them is judged by itself.
BATCH_REASONS = ("full", "drained", "split", "suspect", "alone")

#: The feeds whose inputs are counted from 0 on, before the first has come.
FEEDS = ("dicom", "fhir", "folder", "hl7", "stow")

#: name → (help, labels, buckets).
HISTOGRAMS: Mapping[str, tuple[str, tuple[str, ...], tuple[float, ...]]] = {
    "dxstream_stage_seconds": ("Time in a stage.", ("modality", "stage"), STAGE_BUCKETS),
    "dxstream_latency_seconds": ("From the event's last input to its durable prediction.", ("modality", "lane"), LATENCY_BUCKETS),
    "dxstream_turnaround_seconds": ("From acquired or observed to prediction.", ("modality",), TURNAROUND_BUCKETS),
    "dxstream_batch_size": ("Events judged together.", ("modality",), BATCH_BUCKETS),
}

#: tally name → (metric, help, labels); raised in the transaction that it counts.
COUNTERS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "inputs": ("dxstream_inputs", "Accepted inputs by what became of them.", ("feed", "disposition")),
    "refused": ("dxstream_refused", "What senders were refused.", ("feed", "reason")),
    "events": ("dxstream_events_received", "Events that were opened.", ("modality", "lane")),
    "events_done": ("dxstream_events_done", "Events that ended done.", ("modality", "lane", "outcome")),
    "batches": ("dxstream_batches", "Batches that were saved, by why they took no more events.", ("modality", "reason")),
    "predictions": ("dxstream_predictions", "Predictions saved.", ("model",)),
    "gate_rejections": ("dxstream_gate_rejections", "Inputs that a gate refused.", ("model", "reason")),
    "retries": ("dxstream_retries", "Events that were put back after a temporary error.", ("modality", "stage")),
    "retries_by_lane": ("dxstream_retries_by_lane", "The same by lane.", ("modality", "lane")),
    "dead": ("dxstream_dead", "Events that gave up.", ("modality", "stage")),
    "dead_by_lane": ("dxstream_dead_by_lane", "The same by lane.", ("modality", "lane")),
    "labelled_findings": (
        "dxstream_labelled_findings",
        "Findings for which somebody has said what is true, counted when that first came in.",
        ("model", "label", "agreed"),
    ),
    "pruned": ("dxstream_pruned", "What retention took away, by kind.", ("kind",)),
    "ring_failures": ("dxstream_ring_failures", "Rings that did not reach Redis; the keeper rings again.", ()),
}


class Measures:
    """The histograms of one process: so many observations up to each bound, and their sum.

    Kept by hand, since a batch has thousands of observations and prometheus_client takes 3 µs for each.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, tuple[str, ...]], list[int]] = {}
        self._sums: dict[tuple[str, tuple[str, ...]], float] = {}

    def observe(self, name: str, value: float, **labels: str) -> None:
        """One observation, in the metric's unit."""
        self.observe_all(name, (value,), **labels)

    def observe_all(self, name: str, values: Iterable[float], **labels: str) -> None:
        """Several with the same labels."""
        _, names, bounds = HISTOGRAMS[name]
        key = name, tuple([labels[one] for one in names])
        with self._lock:
            counts = self._counts.setdefault(key, [0] * (len(bounds) + 1))
            total = self._sums.get(key, 0.0)
            for value in values:
                counts[bisect_left(bounds, value)] += 1
                total += max(value, 0.0)
            self._sums[key] = total

    def samples(self) -> list[list[Any]]:
        """Every sample as ``[name, labels, value]``, plain JSON: what a slot of the ledger keeps."""
        found: list[list[Any]] = []
        with self._lock:
            for (name, values), counts in self._counts.items():
                labels = dict(zip(HISTOGRAMS[name][1], values, strict=True))
                bounds = map(floatToGoString, (*HISTOGRAMS[name][2], math.inf))
                up_to = list(accumulate(map(float, counts)))
                found += [[f"{name}_bucket", {**labels, "le": bound}, count] for bound, count in zip(bounds, up_to, strict=True)]
                found += [[f"{name}_count", labels, up_to[-1]], [f"{name}_sum", labels, self._sums[name, values]]]
        return found
