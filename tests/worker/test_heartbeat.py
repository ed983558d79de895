"""The heartbeat."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from failing import failing_once
from worker_samples import send

from db.claim import claim
from db.engine import Database
from db.leases import WorkerRow, end_earlier, end_worker, enlist
from db.tables import events, slots, workers
from stream.content import ContentStore
from stream.disk import write_durably
from stream.metrics import Measures
from worker import stages
from worker.heartbeat import DEAF_AFTER, EXIT_DEAF, EXIT_HUNG, EXIT_LEASE_LOST, Heartbeat
from worker.stages import Stages


class Left(BaseException):
    """Stands in for the end of the process."""


def leave(code: int) -> None:
    raise Left(code)


@pytest.fixture
def heartbeat(database: Database, tmp_path: Path) -> Heartbeat:
    with database.write() as (connection, now):
        worker_id = enlist(connection, now, WorkerRow(name="w", device="cpu", host="here", pid=1, queues="scan.routine"))
    return Heartbeat(
        database=database,
        worker_id=worker_id,
        slot="worker",
        stages=Stages(),
        measures=Measures(),
        queues=["scan.routine"],
        store=ContentStore(tmp_path),
        leave=leave,
    )


def lease_of(database: Database):
    with database.read() as connection:
        return connection.execute(sa.select(workers.c.lease_until)).scalar_one()


def test_a_beat_renews_the_lease_and_keeps_the_histograms(heartbeat: Heartbeat):
    before = lease_of(heartbeat.database)
    heartbeat.measures.observe("dxstream_batch_size", 3, modality="scan")
    heartbeat._beat()
    assert lease_of(heartbeat.database) > before
    with heartbeat.database.read() as connection:
        samples = connection.execute(sa.select(slots.c.samples)).scalar_one()
    assert ["dxstream_batch_size_count", {"modality": "scan"}, 1.0] in samples


def test_a_process_started_again_goes_on_counting_in_the_same_slot(heartbeat: Heartbeat):
    heartbeat.measures.observe("dxstream_batch_size", 3, modality="scan")
    heartbeat._beat()
    heir = Heartbeat(
        **{name: getattr(heartbeat, name) for name in ("database", "worker_id", "slot", "stages", "queues", "store")},
        measures=Measures(),
    )
    heir.measures.observe("dxstream_batch_size", 5, modality="scan")
    heir._beat()
    with heartbeat.database.read() as connection:
        samples = connection.execute(sa.select(slots.c.samples)).scalar_one()
    assert ["dxstream_batch_size_sum", {"modality": "scan"}, 8.0] in samples


def test_a_lost_lease_ends_the_process(heartbeat: Heartbeat):
    with heartbeat.database.write() as (connection, now):
        end_worker(connection, now, heartbeat.worker_id, crashed=True)
    with pytest.raises(Left, match=str(EXIT_LEASE_LOST)):
        heartbeat._beat()


def test_a_stage_past_its_deadline_ends_the_process(heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(stages.DEADLINES, "infer", -1.0)
    with heartbeat.stages.at("infer"), pytest.raises(Left, match=str(EXIT_HUNG)):
        heartbeat._check_stages()


@pytest.mark.parametrize("hangs", [True, False])
def test_a_store_that_hangs_ends_the_process_and_makes_no_event_a_suspect_and_one_file_does(
    heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch, hangs: bool
):
    send(heartbeat.database, "fine")
    claim(heartbeat.database, heartbeat.worker_id)
    over = threading.Event()
    monkeypatch.setattr("worker.heartbeat.ANSWER_SECONDS", 0.2 if hangs else 20.0)
    monkeypatch.setattr("stream.content.write_durably", lambda *arguments: (hangs and over.wait(20)) or write_durably(*arguments))
    monkeypatch.setitem(stages.DEADLINES, "fetch", -1.0)
    with heartbeat.stages.at("fetch"), pytest.raises(Left, match=str(EXIT_HUNG)):
        heartbeat._check_stages()
    over.set()
    with heartbeat.database.write() as (connection, now):
        end_earlier(connection, now, name="w", host="here")  # as whoever watches it does
        (row,) = connection.execute(sa.select(events)).mappings().all()
    assert (row["state"], row["suspect"], row["crashes"]) == (("waiting", False, 0) if hangs else ("waiting", True, 1))


def test_an_idle_worker_that_no_longer_hears_its_queue_ends(heartbeat: Heartbeat):
    send(heartbeat.database, "fine")
    with heartbeat.database.write() as (connection, now):
        connection.execute(sa.update(events).values(received_at=now - 2 * DEAF_AFTER))
    heartbeat._beat()
    heartbeat._idle_since -= 2 * DEAF_AFTER.total_seconds()
    with pytest.raises(Left, match=str(EXIT_DEAF)):
        heartbeat._beat()


def test_a_busy_worker_is_not_deaf(heartbeat: Heartbeat):
    send(heartbeat.database, "fine")
    with heartbeat.database.write() as (connection, now):
        connection.execute(sa.update(events).values(received_at=now - timedelta(hours=1)))
    heartbeat._idle_since -= 2 * DEAF_AFTER.total_seconds()
    with heartbeat.stages.at("infer"):
        heartbeat._beat()


def test_it_beats_on_after_an_error_that_nobody_expected(heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.heartbeat.BEAT_SECONDS", 0.01)
    again = threading.Event()
    monkeypatch.setattr(heartbeat, "_beat", failing_once(again))
    heartbeat.start()
    assert again.wait(20)
    heartbeat.stop()
