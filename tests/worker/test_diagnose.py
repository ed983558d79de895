"""The life of a batch, on real databases, with a small model."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dicom_samples import file_of, projection
from redis import Redis
from worker_samples import SmallModel, send, worker_on

from db.engine import Database
from db.leases import end_worker
from db.report import status
from db.tables import contents, events, predictions
from db.tally import read_tallies
from models.interface import Prepared, Scores
from models.pixels import COLOUR, read_picture
from stream.content import ContentStore
from stream.errors import Fatal
from stream.judgement import Sample
from stream.queues import Lane
from worker.prepare import MAX_FAILURES


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def rows(database: Database, table: sa.Table = events):
    with database.read() as connection:
        return connection.execute(sa.select(table).order_by(table.c.id)).mappings().all()


def count_commits(database: Database) -> Callable[[], int]:
    """How many transactions that wrote have been committed since."""
    seen: list[object] = []
    write = database.write

    @contextmanager
    def counted(**how: bool) -> Iterator[Any]:
        with write(**how) as opened:
            yield opened
        seen.append(None)

    database.write = counted  # type: ignore[method-assign,assignment]
    return lambda: len(seen)


def test_everything_that_waits_is_judged_and_the_numbers_add_up(database: Database, store: ContentStore, redis_url: str):
    send(database, *["fine"] * 70)
    assert worker_on(database, store, redis_url).run() == 70
    with database.read() as connection:
        numbers = status(connection, database.now(connection))
    assert numbers["events"] == {"received": 70, "waiting": 0, "delayed": 0, "leased": 0, "done": 70, "dead": 0}
    assert numbers["outcomes"]["predicted"] == len(rows(database, predictions)) == 70


@pytest.mark.parametrize(("waiting", "rings"), [(31, 0), (32, 1)])
def test_the_next_worker_is_rung_where_more_may_wait_than_one_batch_holds(
    sqlite: Database, store: ContentStore, redis_url: str, waiting: int, rings: int
):
    Redis.from_url(redis_url).flushall()
    send(sqlite, *["fine"] * waiting)
    worker = worker_on(sqlite, store, redis_url)
    worker.run()
    assert worker.bell.unheard("scan.routine") == rings


def test_one_bad_event_never_fails_its_batch_mates(sqlite: Database, store: ContentStore, redis_url: str):
    send(sqlite, "fine", "reject", "break", "poison", "fine")
    worker_on(sqlite, store, redis_url).run()
    assert [row["outcome"] for row in rows(sqlite)] == ["predicted", "rejected", "", "", "predicted"]
    assert [row["state"] for row in rows(sqlite)] == ["done", "done", "waiting", "waiting", "done"]


def test_a_rejected_event_says_why_in_words(sqlite: Database, store: ContentStore, redis_url: str):
    send(sqlite, "reject")
    worker_on(sqlite, store, redis_url).run()
    assert rows(sqlite)[0]["reason"] == "constant image"


def test_a_colour_image_is_rejected_by_name_and_not_tried_again(sqlite: Database, store: ContentStore, redis_url: str):
    class Reader(SmallModel):
        def prepare(self, sample: Sample) -> Prepared:
            return Prepared(arrays={"picture": read_picture(sample.contents[0]).values})

    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    picture = projection(**colour, Rows=16, Columns=16, PixelData=bytes(range(256)) * 3)
    send(sqlite, "colour")
    with sqlite.write() as (connection, _):
        connection.execute(sa.update(contents).values(data=file_of(picture)))
    worker_on(sqlite, store, redis_url, Reader()).run()
    (row,) = rows(sqlite)
    assert (row["state"], row["outcome"], row["reason"]) == ("done", "rejected", COLOUR)


def test_an_error_that_comes_back_each_time_ends_dead_with_its_stage(sqlite: Database, store: ContentStore, redis_url: str):
    send(sqlite, "poison")
    worker = worker_on(sqlite, store, redis_url)
    for _ in range(MAX_FAILURES):
        worker.run()
        with sqlite.write() as (connection, _):
            connection.execute(sa.update(events).values(not_before=None))
    (row,) = rows(sqlite)
    assert (row["state"], row["stage"], row["attempts"]) == ("dead", "infer", MAX_FAILURES)
    assert "RuntimeError" in row["reason"]


def test_out_of_memory_halves_the_batch_and_everything_is_judged(sqlite: Database, store: ContentStore, redis_url: str):
    model = SmallModel()
    send(sqlite, "fine", "memory", "fine", "fine")
    worker_on(sqlite, store, redis_url, model).run()
    assert model.batches[:3] == [4, 2, 1]
    assert {row["outcome"] for row in rows(sqlite)} == {"predicted"}


def test_a_lost_device_ends_the_worker(sqlite: Database, store: ContentStore, redis_url: str, monkeypatch: pytest.MonkeyPatch):
    model = SmallModel()

    def lost(_: object) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(model, "infer", lost)
    send(sqlite, "fine")
    with pytest.raises(Fatal):
        worker_on(sqlite, store, redis_url, model).run()


def test_an_event_goes_to_the_model_that_is_meant_for_it(sqlite: Database, store: ContentStore, redis_url: str):
    child = SmallModel("child", {"age_years": {"below": 6}})
    adult = SmallModel("adult", {"age_years": {"at_least": 16}})
    send(sqlite, "a", facts={"age_years": 40})
    send(sqlite, "b", facts={"age_years": 3})
    send(sqlite, "c", facts={"age_years": 9})
    send(sqlite, "d")
    worker_on(sqlite, store, redis_url, child, adult).run()
    assert [row["model_digest"] for row in rows(sqlite, predictions)] == ["digest of adult", "digest of child"]
    assert [row["outcome"] for row in rows(sqlite)] == ["predicted", "predicted", "unmatched", "rejected"]


def test_a_metric_tells_why_batches_took_no_more_events(database: Database, store: ContentStore, redis_url: str):
    child = SmallModel("child", {"age_years": {"below": 6}})
    adult = SmallModel("adult", {"age_years": {"at_least": 16}})
    worker = worker_on(database, store, redis_url, child, adult)

    def told() -> dict[str, int]:
        with database.read() as connection:
            return {reason: number for (_, reason), number in read_tallies(connection)["batches"].items()}

    send(database, *["grown"] * 35, facts={"age_years": 40})
    worker.run()
    assert told() == {"full": 1, "drained": 1}
    send(database, "old", facts={"age_years": 40})
    send(database, "young", facts={"age_years": 3})
    worker.run()
    assert told() == {"full": 1, "drained": 1, "split": 1}
    send(database, *["feared"] * 2, facts={"age_years": 40})
    with database.write() as (connection, _):
        connection.execute(sa.update(events).where(events.c.state == "waiting").values(suspect=True))
    send(database, *["feared more"] * 2, facts={"age_years": 40})
    with database.write() as (connection, _):
        connection.execute(sa.update(events).where(events.c.id > 39).values(suspect=True, crashes=1))
    worker.run()
    assert told() == {"full": 1, "drained": 1, "split": 1, "suspect": 1, "alone": 2}


def test_a_worker_that_is_asked_to_stop_hands_back_what_it_prepared_ahead(sqlite: Database, store: ContentStore, redis_url: str):
    send(sqlite, *["fine"] * 70)
    asked = iter([False, True, True])
    assert worker_on(sqlite, store, redis_url, stopping=lambda: next(asked)).run() == 32
    assert {row["state"] for row in rows(sqlite)} == {"done", "waiting"}
    assert not any(row["suspect"] for row in rows(sqlite))


def test_a_batch_is_saved_and_the_next_but_one_claimed_in_one_transaction(
    database: Database, store: ContentStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("worker.diagnose.SAVE_AFTER", 60.0)  # however slow this machine is
    send(database, *["fine"] * 32 * 5)
    commits = count_commits(database)
    assert worker_on(database, store, redis_url).run() == 32 * 5
    assert {row["state"] for row in rows(database)} == {"done"}
    assert len(rows(database, predictions)) == 32 * 5
    assert (
        commits() <= 1 + 7 + 1
    )  # enlist; the first two claims, four saves that claim, the last save; one claim that finds nothing


def test_what_comes_while_a_small_batch_is_judged_is_claimed_together_after_it(
    sqlite: Database, store: ContentStore, redis_url: str
):
    send(sqlite, "fine", "fine")
    model = SmallModel()
    infer = model.infer

    def slowly(batch: Sequence[Prepared]) -> list[Scores]:
        if not model.batches:
            send(sqlite, "late", "late")
            time.sleep(0.2)  # long enough for a claim ahead
            send(sqlite, "later", "later")
        return infer(batch)

    model.infer = slowly  # type: ignore[method-assign]
    worker_on(sqlite, store, redis_url, model).run()
    assert model.batches == [2, 4]


class Arriving(SmallModel):
    """A stat event arrives while its first batch is judged; ``seen``: the contents of each batch."""

    batch_size = 32

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.seen: list[list[bytes]] = []

    def infer(self, batch: Sequence[Prepared]) -> list[Scores]:
        if not self.seen:
            time.sleep(0.3)  # long enough for a claim ahead
            send(self.database, "urgent", lane=Lane.STAT)
        self.seen.append([one.arrays["content"].tobytes() for one in batch])
        return super().infer(batch)


def test_a_stat_event_overtakes_the_batch_that_was_claimed_before_it_came(database: Database, store: ContentStore, redis_url: str):
    send(database, *["fine"] * 32 * 3, lane=Lane.BACKLOG)
    model = Arriving(database)
    assert worker_on(database, store, redis_url, model).run() == 32 * 3 + 1
    assert [len(batch) for batch in model.seen] == [32, 1, 32, 32]
    assert model.seen[1] == [b"urgent"]


def test_a_stat_event_that_a_worker_died_over_does_not_overtake(sqlite: Database, store: ContentStore, redis_url: str):
    send(sqlite, *["fine"] * 32 * 2, lane=Lane.BACKLOG)
    model = Arriving(sqlite)
    infer = model.infer

    def suspected(batch: Sequence[Prepared]) -> list[Scores]:
        told = infer(batch)
        with sqlite.write() as (connection, _):
            connection.execute(sa.update(events).where(events.c.lane == "stat").values(suspect=True, crashes=1))
        return told

    model.infer = suspected  # type: ignore[method-assign]
    assert worker_on(sqlite, store, redis_url, model).run() == 32 * 2 + 1
    assert [len(batch) for batch in model.seen] == [32, 32, 1]


def test_a_worker_that_fails_with_a_batch_in_hand_saves_the_one_before_and_hands_back_the_one_behind(
    sqlite: Database, store: ContentStore, redis_url: str
):
    send(sqlite, *["fine"] * 100)
    model = SmallModel()
    infer = model.infer

    def fail(batch: Sequence[Prepared]) -> list[Scores]:
        if len(model.batches) >= 4:  # the second batch of 32
            raise KeyError("nobody expected this")
        return infer(batch)

    model.infer = fail  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        worker_on(sqlite, store, redis_url, model).run()
    assert [sum(row["state"] == state for row in rows(sqlite)) for state in ("done", "leased", "waiting")] == [32, 32, 36]


def test_what_is_judged_is_saved_though_the_thread_beside_the_device_fails(sqlite: Database, store: ContentStore, redis_url: str):
    send(sqlite, *["fine"] * 100)
    worker = worker_on(sqlite, store, redis_url)

    def fail(*_: object) -> None:
        raise Fatal("the next batch cannot be had")

    worker._turn = fail  # type: ignore[method-assign,assignment]
    with pytest.raises(Fatal):
        worker.run()
    assert [sum(row["state"] == state for row in rows(sqlite)) for state in ("done", "waiting")] == [32, 68]


def test_a_worker_whose_lease_was_ended_stops_at_once(sqlite: Database, store: ContentStore, redis_url: str):
    send(sqlite, "fine")
    worker = worker_on(sqlite, store, redis_url)
    with sqlite.write() as (connection, now):
        end_worker(connection, now, worker.worker_id, crashed=True)
    with pytest.raises(Fatal):
        worker.run()
    assert rows(sqlite, predictions) == []


@pytest.mark.parametrize(("crashes", "batches"), [(0, [2]), (1, [1, 1])])
def test_suspects_are_judged_together_and_after_another_crash_alone(
    sqlite: Database, store: ContentStore, redis_url: str, crashes: int, batches: list[int]
):
    send(sqlite, "fine", "fine")
    with sqlite.write() as (connection, _):
        connection.execute(sa.update(events).values(suspect=True, crashes=crashes))
    send(sqlite, "fresh")
    model = SmallModel()
    worker_on(sqlite, store, redis_url, model).run()
    assert model.batches == [*batches, 1]


def test_what_is_observed_counts_each_event_once(sqlite: Database, store: ContentStore, redis_url: str):
    send(sqlite, "fine", "reject")
    worker = worker_on(sqlite, store, redis_url)
    worker.run()
    counts = {(name, labels.get("stage")): value for name, labels, value in worker.measures.samples() if name.endswith("_count")}
    assert counts["dxstream_latency_seconds_count", None] == 2
    assert counts["dxstream_stage_seconds_count", "save"] == 2
