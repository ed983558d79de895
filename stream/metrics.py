"""Every metric of dxstream, by name, labels, unit and source. Histograms are kept in a process and summed over slots.

Counters of inputs and events, and all gauges, are read from the ledger by whoever serves ``/metrics``.
"""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Histogram

#: 5 ms to 1 h, in seconds.
LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
#: 0.1 ms to 5 min, in seconds.
STAGE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: 1 s to 30 days, in seconds.
TURNAROUND_BUCKETS = (1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 2 * 86400, 3 * 86400, 7 * 86400, 30 * 86400)
#: Events judged together.
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

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
    "predictions": ("dxstream_predictions", "Predictions saved.", ("model",)),
    "gate_rejections": ("dxstream_gate_rejections", "Inputs that a gate refused.", ("model", "reason")),
    "retries": ("dxstream_retries", "Events that were put back after a temporary error.", ("modality", "stage")),
    "dead": ("dxstream_dead", "Events that gave up.", ("modality", "stage")),
    "ring_failures": ("dxstream_ring_failures", "Rings that did not reach Redis; the keeper rings again.", ()),
}


class Measures:
    """The histograms of one process, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._histograms = {
            name: Histogram(name, text, labels, buckets=buckets, registry=self._registry)
            for name, (text, labels, buckets) in HISTOGRAMS.items()
        }

    def observe(self, name: str, value: float, **labels: str) -> None:
        """One observation, in the metric's unit."""
        self._histograms[name].labels(**labels).observe(max(value, 0.0))

    def samples(self) -> list[list[Any]]:
        """Every sample as ``[name, labels, value]``, plain JSON: what a slot of the ledger keeps."""
        return [
            [sample.name, dict(sample.labels), sample.value]
            for metric in self._registry.collect()
            for sample in metric.samples
            if not sample.name.endswith("_created")
        ]
