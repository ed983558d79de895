"""``/metrics`` for the whole installation: counters, gauges and histograms, all read from the ledger and from Redis."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from db import report
from db.engine import Database
from db.slots import Samples, read_slots
from db.tables import cards
from db.tally import read_tallies
from stream.keep import KINDS
from stream.metrics import BATCH_REASONS, COUNTERS, FEEDS, HISTOGRAMS
from stream.queues import ALL_QUEUES, Lane, Modality
from stream.ring import Bell
from worker.depths import Depths, Reading
from worker.exposition_machine import Devices, disks, redis_memory
from worker.keeper import unheard_rings

_SLOT_GAUGES = {
    "dxstream_feed_last_received_timestamp_seconds": ("When a feed last brought something.", ("feed",)),
    "dxstream_keeper_sweep_timestamp_seconds": ("When a keeper last swept.", ()),
}


class Ledger(Collector):
    """Collects from one short read of the ledger a scrape."""

    def __init__(self, database: Database, bell: Bell, *, places: Mapping[str, Path] | None = None) -> None:
        self.database = database
        self.bell = bell
        self.places = places or {}
        self.depths = Depths(database)
        self.devices = Devices()

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not need the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric of ours; raises Temporary when the database cannot be had."""
        yield from _queues(self.depths.read())
        with self.database.read() as connection:
            now = self.database.now(connection)
            families = [
                *_counters(connection),
                *_cases(connection, now),
                *_workers(connection, now),
                *_slots(read_slots(connection)),
            ]
        yield from families
        rings = GaugeMetricFamily("dxstream_rings", "Rings that no worker has heard yet.", labels=["queue"])
        for name, length in unheard_rings(self.bell, ALL_QUEUES).items():
            rings.add_metric([name], length)
        yield rings
        yield from redis_memory(self.bell)
        yield from disks(self.places)
        yield from self.devices.collect()


def _counters(connection: sa.Connection) -> Iterator[Metric]:
    """What may come is there at 0 before it does: Prometheus never sees the first step of a counter that begins at 1."""
    tallies = read_tallies(connection)
    zeros = dict(first_zeros(connection))
    for tally, (name, text, labels) in COUNTERS.items():
        family = CounterMetricFamily(name, text, labels=labels)
        for values, number in sorted((dict.fromkeys(zeros.get(tally, ()), 0) | tallies.get(tally, {})).items()):
            family.add_metric(list(values), number)
        yield family


def first_zeros(connection: sa.Connection) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Tally → the labels that are known before anything has come. Reasons are not."""
    lanes = [(modality.value, lane.value) for modality in Modality for lane in Lane]
    yield "events", [*lanes]
    yield "dead_by_lane", [*lanes]
    yield "retries_by_lane", [*lanes]
    yield "events_done", [(*one, outcome) for one in lanes for outcome in report.OUTCOMES]
    yield "batches", [(modality.value, reason) for modality in Modality for reason in BATCH_REASONS]
    yield "inputs", [(feed, disposition) for feed in FEEDS for disposition in report.DISPOSITIONS]
    yield "pruned", [(kind,) for kind in KINDS]
    yield "ring_failures", [()]
    active = list(connection.execute(sa.select(cards.c.name, cards.c.card).where(cards.c.active)))
    yield "predictions", [(name,) for name, _ in active]
    findings = [(name, label) for name, card in active for label in card.get("labels", ())]
    yield "labelled_findings", [(*one, agreed) for one in findings for agreed in ("true", "false")]


def _queues(reading: Reading) -> Iterator[Metric]:
    depth = GaugeMetricFamily("dxstream_queue_depth", "Events by state.", labels=["modality", "lane", "state"])
    for modality in Modality:
        for lane in Lane:
            for state in ("waiting", "delayed", "leased", "dead"):
                depth.add_metric([modality, lane, state], reading.depth.get((modality, lane, state), 0))
    oldest = GaugeMetricFamily("dxstream_oldest_waiting_seconds", "Age of the oldest waiting event.", labels=["modality", "lane"])
    ages = reading.oldest_now()
    for modality in Modality:
        for lane in Lane:
            oldest.add_metric([modality, lane], ages.get((modality, lane), 0.0))
    yield from (depth, oldest)


def _cases(connection: sa.Connection, now: datetime) -> Iterator[Metric]:
    cases = GaugeMetricFamily("dxstream_cases_open", "Cases that gather.", labels=["modality"])
    age = GaugeMetricFamily("dxstream_oldest_case_seconds", "Age of the oldest case that gathers.", labels=["modality"])
    gathering = report.open_cases(connection, now)
    for modality in Modality:
        number, seconds = gathering.get(modality, (0, 0.0))
        cases.add_metric([modality], number)
        age.add_metric([modality], seconds)
    yield from (cases, age)


def _workers(connection: sa.Connection, now: datetime) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "dxstream_worker_up", "1 while a worker's lease holds, 0 once it is lost; gone after a stop.", labels=["worker", "device"]
    )
    progress = GaugeMetricFamily(
        "dxstream_worker_progress_timestamp_seconds", "When a worker last got on.", labels=["worker", "device"]
    )
    for worker in report.live_workers(connection, now):
        if worker["ended_by"] == "stop":
            continue
        labels = [worker["name"], worker["device"]]
        up.add_metric(labels, int(worker["alive"]))
        if worker["progress_at"]:
            progress.add_metric(labels, worker["progress_at"].timestamp())
    yield from (up, progress)


def _slots(samples: Samples) -> Iterator[Metric]:
    for name, (text, labels, _) in HISTOGRAMS.items():
        family = HistogramMetricFamily(name, text, labels=labels)
        for values, (buckets, total) in _series(samples, name, labels).items():
            family.add_metric(list(values), buckets=buckets, sum_value=total)
        yield family
    for name, (text, gauge_labels) in _SLOT_GAUGES.items():
        gauge = GaugeMetricFamily(name, text, labels=gauge_labels)
        for sample, labelled, value in samples:
            if sample == name:
                gauge.add_metric([labelled[label] for label in gauge_labels], value)
        yield gauge


def _series(samples: Samples, name: str, labels: tuple[str, ...]) -> dict[tuple[str, ...], tuple[list[tuple[str, float]], float]]:
    """Label values → (cumulative buckets by upper bound, sum)."""
    buckets: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    sums: dict[tuple[str, ...], float] = {}
    for sample, labelled, value in samples:
        values = tuple(labelled.get(label, "") for label in labels)
        if sample == f"{name}_bucket":
            buckets.setdefault(values, []).append((labelled["le"], value))
        elif sample == f"{name}_sum":
            sums[values] = value
    return {values: (sorted(pairs, key=_bound), sums.get(values, 0.0)) for values, pairs in buckets.items()}


def _bound(pair: tuple[str, Any]) -> float:
    return float(pair[0].replace("+Inf", "inf"))


def keeper_ready(database: Database, *, sweep_seconds: float = 15.0) -> Callable[[], str | None]:
    """A check of the keeper's role: None when it sweeps, else why it is not ready. Health means progress."""

    def check() -> str | None:
        with database.read() as connection:
            stamps = [value for name, _, value in read_slots(connection) if name == "dxstream_keeper_sweep_timestamp_seconds"]
        late = datetime.now(UTC).timestamp() - max(stamps, default=0.0)
        return None if late < sweep_seconds else "the keeper has not swept for a while"

    return check
