"""The keeper: leases, cases, rings."""

import shutil
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from worker_samples import send, worker_on

from db.accept import accept
from db.claim import claim, fetch
from db.engine import Database
from db.migrate import upgrade
from db.tables import cases, events, inputs, workers
from stream.arrival import AddResults, Arrival, JoinSeries, Move, Result
from stream.content import Content, ContentStore
from stream.errors import OutOfSpace
from stream.points import decode_points
from stream.ring import Bell
from stream.window import Window
from worker.keeper import Keeper, lab_window


def keeper_on(database: Database, redis_url: str, folder: Path) -> Keeper:
    return Keeper(database, Bell(redis_url), ContentStore(folder))


def take(database: Database, *arrivals: Arrival) -> None:
    with database.write() as (connection, now):
        accept(connection, now, arrivals, slot="test", window=Window())


def arrival(name: str, *asks) -> Arrival:
    content = Content(digest=name.rjust(64, "0"), size=len(name), data=name.encode())
    return Arrival(feed="hl7", identity=name, sender_id=name, content=content, patient_key="p", asks=asks)


def slice_of(number: int, quiet: float = 0.0) -> Arrival:
    return arrival(f"slice{number}", JoinSeries(case_key="series:1", facts={"modality": "CT"}, quiet_seconds=quiet))


def all_of(database: Database, column: sa.Column) -> list:
    with database.read() as connection:
        return list(connection.execute(sa.select(column).order_by(column.table.c.id)).scalars())


def test_a_lease_that_ran_out_gives_its_events_back(database: Database, redis_url: str, tmp_path: Path):
    send(database, "fine")
    worker = worker_on(database, ContentStore(tmp_path), redis_url)
    claim(database, worker.worker_id)
    with database.write() as (connection, now):
        connection.execute(sa.update(workers).values(lease_until=now - timedelta(seconds=1)))
    keeper_on(database, redis_url, tmp_path).sweep()
    assert all_of(database, events.c.state) == ["waiting"]
    assert all_of(database, events.c.suspect) == [True]


def test_a_sweep_brings_what_was_written_into_the_database_itself(redis_url: str, tmp_path: Path, sqlite_url: str):
    database = Database(sqlite_url)
    upgrade(database)
    take(database, slice_of(1))
    keeper_on(database, redis_url, tmp_path).sweep()
    alone = tmp_path / "alone.sqlite"
    shutil.copyfile(str(database.url.database), alone)  # without its log
    assert len(all_of(Database(f"sqlite:///{alone}"), inputs.c.id)) == 1


def test_a_log_that_cannot_be_brought_in_ends_no_sweep(database: Database, redis_url: str, tmp_path: Path, monkeypatch):
    def fails() -> None:
        raise OutOfSpace("the database has no room to write")

    monkeypatch.setattr(database, "bring_in_log", fails)
    keeper_on(database, redis_url, tmp_path).sweep()


def test_a_quiet_series_becomes_one_event_with_all_its_instances(database: Database, redis_url: str, tmp_path: Path):
    take(database, slice_of(1), slice_of(2), slice_of(3))
    keeper_on(database, redis_url, tmp_path).sweep()
    worker = worker_on(database, ContentStore(tmp_path), redis_url)
    (event,) = claim(database, worker.worker_id)
    assert fetch(database, worker.store, [event])[event.id] == (b"slice1", b"slice2", b"slice3")
    assert set(all_of(database, inputs.c.disposition)) == {"in_event"}


def test_a_series_that_is_not_quiet_yet_gathers(sqlite: Database, redis_url: str, tmp_path: Path):
    take(sqlite, slice_of(1, quiet=60))
    keeper_on(sqlite, redis_url, tmp_path).sweep()
    assert all_of(sqlite, events.c.id) == []


def test_a_late_slice_makes_the_next_revision(database: Database, redis_url: str, tmp_path: Path):
    keeper = keeper_on(database, redis_url, tmp_path)
    take(database, slice_of(1))
    keeper.sweep()
    take(database, slice_of(2))
    keeper.sweep()
    assert all_of(database, events.c.revision) == [1, 2]
    worker = worker_on(database, ContentStore(tmp_path), redis_url)
    found = fetch(database, worker.store, claim(database, worker.worker_id))
    assert list(found.values()) == [(b"slice1",), (b"slice1", b"slice2")]


def test_two_keepers_at_once_close_each_case_once(database: Database, redis_url: str, tmp_path: Path):
    for number in range(20):
        take(database, arrival(f"one{number}", JoinSeries(case_key=f"series:{number}", facts={}, quiet_seconds=0)))
    keepers = [threading.Thread(target=keeper_on(database, redis_url, tmp_path).sweep) for _ in range(2)]
    for thread in keepers:
        thread.start()
    for thread in keepers:
        thread.join()
    assert len(all_of(database, events.c.id)) == 20


def test_a_stay_becomes_one_event_with_the_points_of_its_window_only(database: Database, redis_url: str, tmp_path: Path):
    with database.read() as connection:
        origin = database.now(connection) - timedelta(days=4)
    admit = Move(kind="admit", stay="v", at=origin, intensive=True, facts={"age_years": 70})
    hours = (-1, 0, 5, 47.9, 49)
    results = tuple(
        Result(base=f"b{hour}", code="8867-4", value=80.0, flags=0, observed_at=at, available_at=at, version_at=at)
        for hour in hours
        for at in [origin + timedelta(hours=hour)]
    )
    take(database, arrival("adt", admit), arrival("oru", AddResults(results=results)))
    with database.write() as (connection, now):
        connection.execute(sa.update(cases).values(close_at=now))
    keeper_on(database, redis_url, tmp_path).sweep()
    worker = worker_on(database, ContentStore(tmp_path), redis_url)
    with database.read() as connection:
        (event,) = connection.execute(sa.select(events)).mappings().all()
    assert event["facts"]["window_complete"]
    assert event["facts"]["window_hours"] == 48
    assert event["as_of"] == origin + timedelta(hours=47.9)
    found = fetch(database, worker.store, claim(database, worker.worker_id))
    assert [round(float(minute)) for minute in decode_points(found[event["id"]][0])["minute"]] == [0, 300, 2874]


def test_a_stay_that_left_intensive_care_early_says_so(sqlite: Database, redis_url: str, tmp_path: Path):
    with sqlite.read() as connection:
        origin = sqlite.now(connection) - timedelta(days=4)
    admit = Move(kind="admit", stay="v", at=origin, intensive=True)
    leave = Move(kind="transfer", stay="v", at=origin + timedelta(hours=20), intensive=False)
    take(sqlite, arrival("a01", admit), arrival("a02", leave))
    with sqlite.write() as (connection, now):
        connection.execute(sa.update(cases).values(close_at=now))
    keeper_on(sqlite, redis_url, tmp_path).sweep()
    assert all_of(sqlite, events.c.facts)[0]["window_complete"] is False


def test_a_full_content_store_keeps_one_case_open_and_the_keeper_goes_on(
    sqlite: Database, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("stream.content.INLINE_BYTES", -1)
    with sqlite.read() as connection:
        origin = sqlite.now(connection) - timedelta(days=4)
    take(sqlite, arrival("adt", Move(kind="admit", stay="v", at=origin, intensive=True)), slice_of(1))
    with sqlite.write() as (connection, now):
        connection.execute(sa.update(cases).values(close_at=now))
    Keeper(sqlite, Bell(redis_url), ContentStore(tmp_path, watermark=2**62)).sweep()
    assert all_of(sqlite, events.c.modality) == ["scan"]
    keeper_on(sqlite, redis_url, tmp_path).sweep()
    assert all_of(sqlite, events.c.modality) == ["scan", "lab"]


def test_waiting_work_that_nobody_claims_is_rung_once(sqlite: Database, redis_url: str, tmp_path: Path):
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    send(sqlite, "fine")
    keeper = keeper_on(sqlite, redis_url, tmp_path)
    keeper.sweep()
    keeper.sweep()
    assert client.llen("scan.routine") == 1


def test_a_sweep_without_redis_goes_on(sqlite: Database, tmp_path: Path):
    send(sqlite, "fine")
    keeper_on(sqlite, "redis://127.0.0.1:1/0", tmp_path).sweep()


def lab_row(origin: str = "icu_admission", labels: tuple[str, ...] = ("death",), speaks_at: float = 24) -> dict[str, Any]:
    window = {"origin": origin, "length_hours": 24, "speaks_at_hours": speaks_at, "grace_minutes": 30}
    return {"modality": "lab", "card": {"window": window, "labels": labels, "analytes": [{"codes": ["8867-4"]}]}}


def test_stays_are_judged_once_the_card_speaks_and_its_grace_is_over():
    window, codes = lab_window([lab_row(speaks_at=36)])
    assert (window.length, window.grace, codes) == (timedelta(hours=24), timedelta(hours=12, minutes=30), ("8867-4",))


@pytest.mark.parametrize("row", [lab_row(origin="admission"), lab_row(labels=())])
def test_a_lab_card_that_judges_no_stay_does_not_decide_on_the_window(row: dict[str, Any]):
    assert lab_window([row]) == (Window(), ())
