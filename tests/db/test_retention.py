"""Retention: what is finished and old goes, nothing unfinished does, and no number falls by it."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from db import retention_content
from db.accept import accept
from db.claim import claim, fetch
from db.engine import Database
from db.leases import WorkerRow, enlist
from db.refusals import Refusal, keep_refusals
from db.report import retry_dead, status
from db.save import save
from db.tables import case_inputs, cases, contents, events, findings, inputs, metadata, predictions, refusals
from db.tally import read_tallies
from stream.arrival import Arrival, JoinSeries, JudgeNow, WriteNote
from stream.content import INLINE_BYTES, Content, ContentStore
from stream.event import GivenUp, Judged, Model, Predicted
from stream.judgement import Finding, Judgement
from stream.keep import Keep
from stream.ring import Bell
from stream.window import Window
from worker.keeper import Keeper
from worker.pruner import Pruner

DAY = timedelta(days=1)
ALL = Keep(content=30 * DAY, events=30 * DAY, predictions=30 * DAY, dead=30 * DAY, refusals=30 * DAY)
TIMES = (events.c.received_at, events.c.done_at, cases.c.opened_at, cases.c.touched_at, inputs.c.accepted_at, contents.c.kept_at)


def text(words: str) -> Content:
    return Content(digest=words.rjust(64, "0")[:64], size=len(words), data=words.encode())


def image(name: str, content: Content | None = None) -> Arrival:
    ask = JudgeNow(case_key=f"image:{name}", modality="scan", facts={})
    return Arrival(feed="dicom", identity=f"sop:{name}", sender_id=name, content=content or text(name), asks=(ask,))


def part(name: str) -> Arrival:
    ask = JoinSeries(case_key="series:1", facts={"modality": "CT"}, quiet_seconds=0)
    return Arrival(feed="dicom", identity=f"sop:{name}", sender_id=name, content=text(name), asks=(ask,))


def note(name: str, *, available: bool = True) -> Arrival:
    ask = WriteNote(case_key="note:1", text=text(f"text {name}"), facts={}, available=available)
    return Arrival(feed="hl7", identity=f"hl7:{name}", sender_id=name, content=text(name), asks=(ask,))


def send(database: Database, *arrivals: Arrival) -> None:
    with database.write() as (connection, now):
        accept(connection, now, arrivals, slot="test", window=Window())


def judge(database: Database, *, dead: bool = False) -> None:
    """Everything that waits, by a worker of its own."""
    with database.write() as (connection, now):
        worker_id = enlist(connection, now, WorkerRow(name=os.urandom(3).hex(), device="cpu", host="h", pid=1, queues=""))
    finding = Finding(label="sick", probability=0.9, threshold=0.5, positive=True)
    good = Predicted(judgement=Judgement(findings=(finding,)), model=Model(name="m", version="1", digest="d"))
    verdict = GivenUp(reason="broken", stage="prepare") if dead else good
    batch = [Judged(event=event, verdict=verdict) for event in claim(database, worker_id)]
    with database.write() as (connection, now):
        save(connection, now, worker_id, batch, device="cpu", slot="test")


def let_pass(database: Database, days: float) -> None:
    """As if all that is in the ledger had happened so many days earlier."""
    with database.write() as (connection, _):
        for table in metadata.sorted_tables:
            columns = [column for column in table.columns if column in TIMES or column in (predictions.c.created_at, refusals.c.at)]
            for column in columns:
                keys = list(table.primary_key.columns)
                for row in connection.execute(sa.select(*keys, column.label("moment")).where(column.is_not(None))).all():
                    here = sa.and_(*[key == value for key, value in zip(keys, row, strict=False)])
                    connection.execute(sa.update(table).where(here).values({column.name: row.moment - days * DAY}))


def prune(database: Database, folder: Path, keep: Keep = ALL) -> dict[str, int]:
    """A whole pass; by kind what it took."""
    pruner = Pruner(database, ContentStore(folder), keep, slot="keeper")
    took: dict[str, int] = {}
    for _ in range(retention_content.AT_ONCE + 60):
        for (name, values), number in pruner.step().items():
            if name == "pruned" and number:
                took[values[0]] = took.get(values[0], 0) + number
    return took


def rows(database: Database, table: sa.Table) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def told(database: Database) -> dict:
    with database.read() as connection:
        return status(connection, database.now(connection))


def test_what_is_done_and_old_goes_with_all_that_belongs_to_it(database: Database, tmp_path: Path):
    send(database, image("a"), image("b"), note("c"))
    judge(database)
    let_pass(database, 31)
    assert prune(database, tmp_path) == {"events": 3, "predictions": 3, "content": 4}
    assert [rows(database, table) for table in (events, predictions, findings, inputs, cases, contents, case_inputs)] == [0] * 7


def test_no_number_of_the_status_and_no_counter_falls_by_it(database: Database, tmp_path: Path):
    send(database, image("a"), note("c"))
    judge(database)
    send(database, image("b"))
    judge(database, dead=True)
    send(database, image("young"))
    before = told(database)
    with database.read() as connection:
        counters = read_tallies(connection)
    let_pass(database, 31)
    assert prune(database, tmp_path)["dead"] == 1
    after = told(database)
    assert [after[name] for name in ("inputs", "events", "outcomes")] == [before[name] for name in ("inputs", "events", "outcomes")]
    with database.read() as connection:
        assert {name: read_tallies(connection)[name] for name in counters} == counters


def test_nothing_goes_unless_it_is_asked_for(database: Database, tmp_path: Path, redis_url: str):
    send(database, image("a"))
    judge(database)
    let_pass(database, 10_000)
    keeper = Keeper(database, Bell(redis_url), ContentStore(tmp_path), keep=Keep())
    keeper.sweep()
    assert keeper.pruner is None
    assert rows(database, events) == rows(database, contents) == 1


def test_a_keeper_that_is_asked_prunes_in_its_sweep(sqlite: Database, tmp_path: Path, redis_url: str):
    send(sqlite, image("a"))
    judge(sqlite)
    let_pass(sqlite, 31)
    Keeper(sqlite, Bell(redis_url), ContentStore(tmp_path), keep=ALL).sweep()
    assert rows(sqlite, events) == rows(sqlite, contents) == 0


def test_what_is_younger_than_asked_stays(database: Database, tmp_path: Path):
    send(database, image("a"))
    judge(database)
    let_pass(database, 29)
    assert prune(database, tmp_path) == {}


def test_what_waits_stays_with_its_content_however_old_it_is(database: Database, tmp_path: Path):
    send(database, image("a"))
    let_pass(database, 1000)
    assert prune(database, tmp_path) == {}
    assert rows(database, contents) == 1


def test_a_dead_event_stays_with_its_content_unless_dead_ones_are_to_go(database: Database, tmp_path: Path):
    send(database, image("a"))
    judge(database, dead=True)
    let_pass(database, 1000)
    assert prune(database, tmp_path, Keep(content=DAY, events=DAY, predictions=DAY)) == {}
    with database.write() as (connection, _):
        assert retry_dead(connection, [1])
    judge(database)
    assert told(database)["outcomes"]["predicted"] == 1


def test_a_series_that_still_gathers_keeps_every_slice(database: Database, tmp_path: Path):
    send(database, part("1"), part("2"))
    let_pass(database, 1000)
    assert prune(database, tmp_path) == {}
    assert rows(database, contents) == 2


def test_a_series_whose_event_waits_keeps_every_slice(database: Database, tmp_path: Path, redis_url: str):
    send(database, part("1"), part("2"))
    Keeper(database, Bell(redis_url), ContentStore(tmp_path)).sweep()
    let_pass(database, 1000)
    assert prune(database, tmp_path) == {}
    with database.write() as (connection, now):
        worker_id = enlist(connection, now, WorkerRow(name="w", device="cpu", host="h", pid=1, queues=""))
    assert fetch(database, ContentStore(tmp_path), claim(database, worker_id)) == {1: (b"1", b"2")}


def test_a_document_that_waits_to_be_released_keeps_its_text(database: Database, tmp_path: Path):
    send(database, note("draft", available=False))
    let_pass(database, 1000)
    prune(database, tmp_path)
    with database.read() as connection:
        assert b"text draft" in list(connection.execute(sa.select(contents.c.data)).scalars())


def test_a_case_stays_whole_while_one_of_its_events_is_young(database: Database, tmp_path: Path):
    send(database, note("1"))
    judge(database)
    let_pass(database, 31)
    send(database, note("2"))
    judge(database)
    prune(database, tmp_path, Keep(events=30 * DAY))
    assert rows(database, events) == 2


def test_of_the_predictions_only_those_that_no_longer_hold_go_by_themselves(database: Database, tmp_path: Path):
    send(database, note("1"))
    judge(database)
    send(database, note("2"))
    judge(database)
    let_pass(database, 31)
    assert prune(database, tmp_path, Keep(predictions=30 * DAY)) == {"predictions": 1}
    with database.read() as connection:
        assert list(connection.execute(sa.select(predictions.c.status)).scalars()) == ["current"]


def test_content_that_came_again_is_young(database: Database, tmp_path: Path):
    send(database, image("a"))
    judge(database)
    let_pass(database, 31)
    send(database, image("b", text("a")))
    judge(database)
    assert prune(database, tmp_path, Keep(content=30 * DAY)) == {}


def test_content_of_before_there_were_ages_is_young(database: Database, tmp_path: Path):
    send(database, image("a"))
    judge(database)
    with database.write() as (connection, _):
        connection.execute(sa.update(contents).values(kept_at=None))
    assert prune(database, tmp_path, Keep(content=30 * DAY)) == {}
    let_pass(database, 31)
    assert prune(database, tmp_path, Keep(content=30 * DAY)) == {"content": 1}


def test_the_same_image_is_judged_again_once_it_was_forgotten(database: Database, tmp_path: Path):
    send(database, image("a"))
    judge(database)
    let_pass(database, 31)
    prune(database, tmp_path)
    send(database, image("a"))
    judge(database)
    assert told(database)["outcomes"]["predicted"] == 2
    assert told(database)["inputs"]["accepted"] == 2


def test_refusals_go_by_the_last_time_that_they_came(database: Database, tmp_path: Path):
    with database.write() as (connection, now):
        old = [Refusal(feed="hl7", reason="no", place="MSH", content=b"old")]
        keep_refusals(connection, now - 31 * DAY, [*old, Refusal(feed="hl7", reason="no", place="MSH", content=b"again")])
        keep_refusals(connection, now, [Refusal(feed="hl7", reason="no", place="MSH", content=b"again")])
    assert prune(database, tmp_path, Keep(refusals=30 * DAY)) == {"refusals": 1}
    assert rows(database, refusals) == 1


# Files --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def large(store: ContentStore, letter: str, *, days: float) -> Content:
    content = store.put(letter.encode() * (INLINE_BYTES + 1))
    then = time.time() - days * 86400
    os.utime(store.path(content.digest), (then, then))
    return content


def test_a_file_that_nothing_needs_goes_once_it_is_old(database: Database, store: ContentStore):
    old, young = large(store, "a", days=31), large(store, "b", days=29)
    send(database, image("a", old), image("b", young))
    judge(database)
    assert prune(database, store.folder, Keep(content=30 * DAY)) == {"content": 1}
    assert [store.path(content.digest).exists() for content in (old, young)] == [False, True]


def test_a_file_that_an_event_waits_for_stays_however_old_it_is(database: Database, store: ContentStore):
    content = large(store, "a", days=1000)
    send(database, image("a", content))
    assert prune(database, store.folder) == {}
    assert store.get(content.digest)


def test_a_file_that_is_brought_again_while_it_is_pruned_stays(database: Database, store: ContentStore):
    content = large(store, "a", days=31)
    store.put(b"a" * (INLINE_BYTES + 1))  # it was found to be old before this, and is taken away after it
    with database.write() as (connection, _):
        retention_content.prune_files(connection, store, [content.digest], 30 * DAY, {})
    assert store.get(content.digest)


def test_what_a_killed_writer_left_goes_and_what_a_killed_keeper_had_set_aside_comes_back(store: ContentStore):
    content = large(store, "a", days=31)
    path = store.path(content.digest)
    half = path.with_name(".0f3a")
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    path.rename(path.with_name(f".{path.name}"))
    retention_content.old_files(store, int(content.digest[:2], 16), 30 * DAY)
    assert path.exists()
    assert not half.exists()
