"""``/metrics``: zeros before the first event, workers that stopped or were lost, disks, Redis, GPUs, and deep queues."""

import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from worker_samples import send

from db.engine import Database
from db.leases import WorkerRow, end_worker, enlist
from db.tables import workers
from stream.ring import Bell
from worker import depths
from worker.exposition import Ledger
from worker.exposition_machine import disks
from worker.nvml import Gpus


def page(database: Database, redis_url: str, **places: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Ledger(database, Bell(redis_url), places=places))
    return registry


def test_counters_are_at_zero_before_the_first_event(database: Database, redis_url: str):
    told = page(database, redis_url)
    for name, labels in (
        ("dxstream_events_received_total", {"modality": "lab", "lane": "stat"}),
        ("dxstream_events_done_total", {"modality": "scan", "lane": "routine", "outcome": "rejected"}),
        ("dxstream_dead_by_lane_total", {"modality": "note", "lane": "backlog"}),
        ("dxstream_inputs_total", {"feed": "hl7", "disposition": "in_event"}),
        ("dxstream_pruned_total", {"kind": "content"}),
        ("dxstream_ring_failures_total", {}),
    ):
        assert told.get_sample_value(name, labels) == 0, name


def up_of(database: Database, redis_url: str, name: str) -> float | None:
    return page(database, redis_url).get_sample_value("dxstream_worker_up", {"worker": name, "device": "cpu"})


def test_a_worker_that_was_asked_to_stop_is_gone_and_one_that_crashed_is_down(database: Database, redis_url: str):
    with database.write() as (connection, now):
        ids = {
            name: enlist(connection, now, WorkerRow(name=name, device="cpu", host="h", pid=1, queues=""))
            for name in ("works", "stopped", "crashed", "silent")
        }
        end_worker(connection, now, ids["stopped"], crashed=False)
        end_worker(connection, now, ids["crashed"], crashed=True)
        long_ago = sa.update(workers).where(workers.c.id == ids["silent"]).values(lease_until=now - timedelta(seconds=1))
        connection.execute(long_ago)
    assert {name: up_of(database, redis_url, name) for name in ids} == {"works": 1, "stopped": None, "crashed": 0, "silent": 0}


def test_the_disks_and_redis_memory_are_shown(sqlite: Database, redis_url: str, tmp_path: Path):
    told = page(sqlite, redis_url, content=tmp_path / "not" / "made" / "yet")
    total = shutil.disk_usage(tmp_path).total
    assert told.get_sample_value("dxstream_disk_total_bytes", {"place": "content"}) == total
    assert 0 < told.get_sample_value("dxstream_disk_free_bytes", {"place": "content"}) <= total
    assert 0 < told.get_sample_value("dxstream_redis_memory_bytes") < told.get_sample_value("dxstream_redis_memory_max_bytes")


def test_without_redis_the_page_is_there_without_its_memory(sqlite: Database):
    told = page(sqlite, "redis://127.0.0.1:1/0")
    assert told.get_sample_value("dxstream_redis_memory_bytes") is None
    assert told.get_sample_value("dxstream_queue_depth", {"modality": "scan", "lane": "stat", "state": "waiting"}) == 0


def test_no_disk_is_shown_where_none_is_named():
    assert [sample for family in disks({}) for sample in family.samples] == []


# Deep queues -------------------------------------------------------------------------------------------------------


def depth_of(reading: depths.Reading) -> int:
    return reading.depth.get(("scan", "routine", "waiting"), 0)


def test_while_counting_is_quick_every_scrape_counts_anew(sqlite: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(depths, "QUICK", 60.0)
    reader = depths.Depths(sqlite)
    assert depth_of(reader.read()) == 0
    send(sqlite, "one")
    assert depth_of(reader.read()) == 1


def test_when_counting_takes_long_a_scrape_is_told_the_last_reading_until_the_next_is_due(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(depths, "QUICK", -1.0)
    monkeypatch.setattr(depths, "REST", 10**9)
    reader = depths.Depths(sqlite)
    assert depth_of(reader.read()) == 0
    send(sqlite, "one")
    assert depth_of(reader.read()) == 0
    monkeypatch.setattr(depths, "REST", 0)
    monkeypatch.setattr(depths.threading.Thread, "start", lambda thread: thread._target())
    monkeypatch.setattr(depths.threading.Thread, "join", lambda *_: None)
    assert depth_of(reader.read()) == 1


# GPUs ---------------------------------------------------------------------------------------------------------------

#: The driver's library with two devices, of which the second tells no utilisation.
DRIVER = """
struct u { unsigned gpu, memory; };
struct m { unsigned long long total, free, used; };
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { *h = (void *)(unsigned long)(i + 1); return 0; }
int nvmlDeviceGetMemoryInfo(void *h, struct m *m) { m->total = 80; m->used = 20 * (unsigned long)h; m->free = 1; return 0; }
int nvmlDeviceGetUtilizationRates(void *h, struct u *u) { u->gpu = 37; return h == (void *)2 ? 3 : 0; }
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler, so NVML was not imitated")
def test_each_gpu_tells_how_busy_it_is_and_its_memory(tmp_path: Path):
    (tmp_path / "nvml.c").write_text(DRIVER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "nvml.so", tmp_path / "nvml.c"], check=True)
    told = [(gpu.device, gpu.busy, gpu.memory_used, gpu.memory_total) for gpu in Gpus(str(tmp_path / "nvml.so")).read()]
    assert told == [("cuda:0", 0.37, 20, 80), ("cuda:1", None, 40, 80)]


def test_without_a_driver_there_are_no_gpus():
    assert list(Gpus("no-such-library.so").read()) == []
