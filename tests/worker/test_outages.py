"""What an outage of the database or of Redis must not do to workers that did nothing wrong."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from servers import running_redis
from worker_samples import send, worker_on

from db.claim import Found, claim, find
from db.engine import FOR_WORKERS, Database
from db.leases import progress
from db.migrate import upgrade
from db.tables import contents, events, workers
from dxstream.free_port import free_port
from stream.content import ContentStore
from stream.errors import Temporary
from stream.event import Event
from stream.queues import ALL_QUEUES
from stream.ring import Bell
from worker.app import worker_app
from worker.device import Device
from worker.keeper import Keeper
from worker.process import WorkerOptions, _work
from worker.stages import DEADLINES, Stages


@pytest.fixture
def postgresql_database(postgresql_url: str) -> Iterator[Database]:
    database = Database(fresh_postgresql(postgresql_url, f"t{os.urandom(6).hex()}"))
    upgrade(database)
    yield database
    database.close()


def fresh_postgresql(server: str, name: str) -> str:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.rsplit("/", 1)[0] + f"/{name}"


def until(ready: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.02)


def states(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(sa.select(events.c.state)).scalars())


def run_out(database: Database) -> None:
    """Every lease has run out."""
    with database.write() as (connection, now):
        connection.execute(sa.update(workers).values(lease_until=now - timedelta(seconds=1)))


def test_after_a_sweep_that_failed_no_lease_is_ended_before_it_could_be_renewed(
    sqlite: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    send(sqlite, "fine")
    claim(sqlite, worker_on(sqlite, ContentStore(tmp_path), redis_url).worker_id)
    run_out(sqlite)
    keeper = Keeper(sqlite, Bell(redis_url), ContentStore(tmp_path))

    def away() -> None:
        keeper.stop.set()
        raise Temporary("the database cannot be used")

    with monkeypatch.context() as patch:
        patch.setattr(keeper, "sweep", away)
        keeper.run()
    keeper.sweep()
    assert states(sqlite) == ["leased"]


def test_a_worker_that_was_stopped_within_a_transaction_does_not_hold_up_the_keeper(
    postgresql_database: Database, redis_url: str, tmp_path: Path
):
    database = postgresql_database
    send(database, "fine", "fine too")
    stopped = worker_on(database, ContentStore(tmp_path), redis_url, name="stopped")
    claim(database, stopped.worker_id, limit=1)
    dead = worker_on(database, ContentStore(tmp_path), redis_url, name="dead")
    claim(database, dead.worker_id, limit=1)
    run_out(database)
    with database.write() as (connection, now):
        progress(connection, now, stopped.worker_id)
        sweep = threading.Thread(target=Keeper(database, Bell(redis_url), ContentStore(tmp_path)).sweep)
        sweep.start()
        until(lambda: "waiting" in states(database))
    sweep.join()


def test_a_suspect_waits_for_the_database_and_is_not_taken_for_a_killer(sqlite: Database, redis_url: str, tmp_path: Path):
    send(sqlite, "fine")
    with sqlite.write() as (connection, _):
        connection.execute(sa.update(events).values(suspect=True, crashes=1))
    worker = worker_on(sqlite, ContentStore(tmp_path), redis_url)
    tell, told = worker._held._set_stage, []

    def sometimes(stage: str) -> None:
        told.append(stage)
        if told.count(stage) == 1:
            raise Temporary("the database cannot be used")
        tell(stage)

    worker._held._set_stage = sometimes
    assert worker.run() == 1
    assert told == ["fetch", "fetch", "prepare", "prepare", "infer", "infer"]


def test_what_a_claim_leased_whose_answer_was_lost_is_judged_all_the_same(
    database: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The database commits a claim and is gone before it can say so."""
    send(database, *["fine"] * 40)
    lost = iter([True, False, True])

    def claim_and_lose(*arguments: Any, **options: Any) -> list[Event]:
        claimed = claim(*arguments, **options)
        if next(lost, False):
            raise Temporary("the database cannot be used")
        return claimed

    monkeypatch.setattr("worker.held.claim", claim_and_lose)
    assert worker_on(database, ContentStore(tmp_path), redis_url).run() == 40
    assert set(states(database)) == {"done"}


def test_what_is_judged_is_saved_though_the_bytes_of_the_batch_behind_it_cannot_be_had(
    sqlite: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The store is away until the batch before is saved, or until it has been asked twenty times."""
    send(sqlite, *["fine"] * 64)
    asked, saved = iter(range(20)), []

    def find_later(database: Database, store: ContentStore, batch: Sequence[Event]) -> dict[int, Found]:
        saved.append("done" in states(sqlite))
        if batch[0].id > 32 and not saved[-1] and next(asked, None) is not None:
            raise Temporary("the content store cannot be read")
        return find(database, store, batch)

    monkeypatch.setattr("worker.held.find", find_later)
    monkeypatch.setattr("worker.held.RETRY_SECONDS", 0.2)
    assert worker_on(sqlite, ContentStore(tmp_path), redis_url).run() == 64
    assert saved[-1]


def put_on_disk(database: Database, digest: str) -> None:
    """Its bytes are a file of the store, or should be."""
    with database.write() as (connection, _):
        connection.execute(sa.delete(contents).where(contents.c.digest == digest))


@pytest.mark.parametrize("threads", [1, 2])
def test_what_lies_in_a_store_that_is_away_is_left_to_others_and_its_batch_mates_are_judged(
    sqlite: Database, redis_url: str, tmp_path: Path, threads: int
):
    send(sqlite, "fine", "away", "fine too")
    put_on_disk(sqlite, "away".rjust(64, "0"))
    end = time.monotonic() + 30

    def stopping() -> bool:
        return states(sqlite) == ["done", "waiting", "done"] or time.monotonic() > end

    store = ContentStore(tmp_path / "not mounted")
    assert worker_on(sqlite, store, redis_url, stopping=stopping, prepare_threads=threads).run() == 2
    with sqlite.read() as connection:
        left = connection.execute(sa.select(events).where(events.c.state == "waiting")).mappings().one()
    assert (left["suspect"], left["attempts"], left["failures"], left["not_before"]) == (False, 0, 0, None)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_worker_whose_store_is_away_claims_nothing_until_it_is_back(
    sqlite: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
):
    monkeypatch.setattr("worker.held.RETRY_SECONDS", 0.01)
    send(sqlite, *["away"] * 40)
    put_on_disk(sqlite, "away".rjust(64, "0"))
    tried: list[int] = []  # how many events were leased at each try

    class Away(ContentStore):
        def get(self, digest: str) -> bytes:
            with sqlite.read() as connection:
                tried.append(connection.execute(sa.select(sa.func.count()).where(events.c.state == "leased")).scalar_one())
            if tried.count(0) < 5 and len(tried) < 200:
                raise Temporary("the content store cannot be read")
            return b"fine"

    assert worker_on(sqlite, Away(tmp_path), redis_url, prepare_threads=threads).run() == 40
    first = tried.index(0)
    assert tried[first : first + 5] == [0] * 5
    with sqlite.read() as connection:
        assert set(connection.execute(sa.select(events.c.attempts)).scalars()) == {1}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_read_that_hangs_is_of_the_stage_fetch(
    sqlite: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
):
    """A pipe that nobody writes into: opening it waits, as on a network file system whose server is away."""
    send(sqlite, "hangs")
    store, digest = ContentStore(tmp_path / "content"), "hangs".rjust(64, "0")
    put_on_disk(sqlite, digest)
    store.path(digest).parent.mkdir(parents=True)
    os.mkfifo(store.path(digest))
    monkeypatch.setattr(store, "hurry", lambda _: None)
    monkeypatch.setitem(DEADLINES, "fetch", 0.0)
    worker = worker_on(sqlite, store, redis_url, prepare_threads=threads)
    working = threading.Thread(target=worker.run)
    working.start()
    until(lambda: states(sqlite) == ["leased"] and worker.stages.overdue() == "fetch")
    store.path(digest).write_bytes(b"fine")
    working.join()
    assert states(sqlite) == ["done"]


def test_a_worker_looks_whether_its_store_hangs_before_it_claims(
    sqlite: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    send(sqlite, "fine")
    seen: list[list[str]] = []
    monkeypatch.setattr(ContentStore, "answers", lambda _: seen.append(states(sqlite)))
    monkeypatch.setattr("worker.process.consume", lambda *_: seen.append(["consumed"]))
    options = WorkerOptions(
        name="w", device=Device(name="cpu", kind="cpu"), redis_url=redis_url, content=tmp_path / "content", models=tmp_path
    )
    worker_id = worker_on(sqlite, ContentStore(tmp_path), redis_url).worker_id
    _work(sqlite, options, {}, worker_id, "cpu", None)
    assert seen == [["waiting"], ["consumed"]]


def test_a_file_that_the_disk_cannot_read_is_tried_again_later_and_its_batch_mates_are_judged(
    sqlite: Database, redis_url: str, tmp_path: Path
):
    send(sqlite, "fine", "unreadable", "fine too")
    unreadable = "unreadable".rjust(64, "0")
    store = ContentStore(tmp_path / "content")
    store.path(unreadable).parent.mkdir(parents=True)
    store.path(unreadable).symlink_to("/proc/self/mem")  # EIO, as of a bad sector
    with sqlite.write() as (connection, _):
        connection.execute(sa.delete(contents).where(contents.c.digest == unreadable))
    stop = iter([False] * 6)
    assert worker_on(sqlite, store, redis_url, stopping=lambda: next(stop, True)).run() == 3
    with sqlite.read() as connection:
        assert connection.execute(sa.select(events.c.state, events.c.stage)).all() == [
            ("done", ""),
            ("waiting", "fetch"),
            ("done", ""),
        ]


def test_a_deadline_is_that_of_one_try_and_not_of_an_outage(
    sqlite: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    entered: list[str] = []

    class Seen(Stages):
        def at(self, stage: str) -> AbstractContextManager[None]:
            entered.append(stage)
            return super().at(stage)

    send(sqlite, "fine")
    worker, away = worker_on(sqlite, ContentStore(tmp_path), redis_url, stages=Seen()), iter([True, True])
    write = sqlite.write

    def sometimes(*, durable: bool = True) -> AbstractContextManager[Any]:
        if "infer" in entered and next(away, False):
            raise Temporary("the database cannot be used")
        return write(durable=durable)

    monkeypatch.setattr(sqlite, "write", sometimes)
    assert worker.run() == 1
    assert entered.count("save") == 3


@pytest.mark.parametrize("suspect", [True, False])
def test_a_claim_of_suspects_alone_is_durable_before_anything_of_them_is_touched(
    database: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suspect: bool
):
    send(database, *["fine"] * 6)
    with database.write() as (connection, _):
        connection.execute(sa.update(events).values(suspect=suspect))
    worker = worker_on(database, ContentStore(tmp_path), redis_url)
    write, durably = database.write, []

    def seen(*, durable: bool = True) -> AbstractContextManager[Any]:
        durably.append(durable)
        return write(durable=durable)

    def find_now(*arguments: Any) -> dict[int, Found]:
        assert durably == [False, *[True] * suspect]
        return find(*arguments)

    monkeypatch.setattr(database, "write", seen)
    monkeypatch.setattr("worker.held.find", find_now)
    assert worker.run() == 6


@pytest.mark.parametrize("crashes", [0, 1])
def test_suspects_are_tried_by_every_idle_worker_and_not_by_one_after_the_other(
    sqlite: Database, redis_url: str, tmp_path: Path, crashes: int
):
    send(sqlite, "fine", "fine too")
    with sqlite.write() as (connection, _):
        connection.execute(sa.update(events).values(suspect=True, crashes=crashes))
    worker = worker_on(sqlite, ContentStore(tmp_path), redis_url)
    redis.Redis.from_url(redis_url).flushall()
    worker._take()
    assert Bell(redis_url).unheard("scan.routine") == 1


def test_a_worker_hears_rings_again_whatever_became_of_an_acknowledgement(tmp_path: Path):
    """The worker is in a task while Redis is killed and comes back; what it was told then is never acknowledged."""
    port, heard = free_port(), tmp_path / "heard"
    program = (
        "import sys, time\nfrom worker.app import consume, worker_app\n"
        "def hear():\n    open(sys.argv[2], 'a').write('x')\n    time.sleep(0.5)\n"
        "consume(worker_app(sys.argv[1], ['scan.routine'], hear), 'w')"
    )
    url = f"redis://127.0.0.1:{port}/0"

    def ring() -> bool:
        return Bell(url).ring("scan.routine", [])

    with running_redis(port=port):
        worker = subprocess.Popen(
            [sys.executable, "-c", program, url, str(heard)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        ring()
        until(heard.exists)
    with running_redis(port=port):
        before = heard.stat().st_size
        until(lambda: ring() and heard.stat().st_size > before)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0


def test_no_message_is_kept_for_an_acknowledgement(redis_url: str):
    assert all(queue.no_ack for queue in worker_app(redis_url, ALL_QUEUES, lambda: None).conf.task_queues)


@pytest.mark.parametrize(("settings", "idle"), [({}, "12s"), (FOR_WORKERS, "4s")])
def test_a_transaction_that_nobody_goes_on_with_is_ended(postgresql_url: str, settings: dict[str, str], idle: str):
    with closing(Database(postgresql_url, settings)) as database, database.read() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == idle
        assert connection.exec_driver_sql("SHOW tcp_user_timeout").scalar_one() == "10000"
