"""``/metrics`` of what is around the ledger: the disks of the content and of the database, Redis' memory, and the GPUs."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import RedisError

from stream.ring import Bell
from worker.nvml import Gpus


def disks(places: Mapping[str, Path]) -> Iterator[Metric]:
    """Free and total bytes by what lies there (``content``, ``database``); a disk that is away is left out."""
    free = GaugeMetricFamily("dxstream_disk_free_bytes", "Room on the disk of what lies there.", labels=["place"])
    total = GaugeMetricFamily("dxstream_disk_total_bytes", "Size of the disk of what lies there.", labels=["place"])
    for name, path in places.items():
        there = next((one for one in (path, *path.parents) if one.exists()), path)
        try:
            usage = shutil.disk_usage(there)
        except OSError:
            continue
        free.add_metric([name], usage.free)
        total.add_metric([name], usage.total)
    yield from (free, total)


def redis_memory(bell: Bell) -> Iterator[Metric]:
    """What Redis uses and may use; without a limit of its own the machine's memory is the limit. Nothing while it is away."""
    used = GaugeMetricFamily("dxstream_redis_memory_bytes", "Memory that Redis uses.")
    most = GaugeMetricFamily("dxstream_redis_memory_max_bytes", "Memory that Redis may use: its limit, else the machine's.")
    try:
        told = bell.memory()
    except RedisError:
        told = None
    if told:
        used.add_metric([], told[0])
        most.add_metric([], told[1])
    yield from (used, most)


class Devices(Collector):
    """The GPUs of this machine; nothing where there is no driver."""

    def __init__(self) -> None:
        self.gpus = Gpus()

    def describe(self) -> list[Metric]:
        """Nothing beforehand."""
        return []

    def collect(self) -> Iterator[Metric]:
        """By NVML."""
        busy = GaugeMetricFamily("dxstream_device_busy_ratio", "Share of the time that a GPU was busy.", labels=["device"])
        used = GaugeMetricFamily("dxstream_device_memory_bytes", "Memory of a GPU that is in use.", labels=["device"])
        total = GaugeMetricFamily("dxstream_device_memory_total_bytes", "Memory that a GPU has.", labels=["device"])
        for state in self.gpus.read():
            if state.busy is not None:
                busy.add_metric([state.device], state.busy)
            used.add_metric([state.device], state.memory_used)
            total.add_metric([state.device], state.memory_total)
        yield from (busy, used, total)
