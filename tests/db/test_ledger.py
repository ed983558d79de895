"""Claim, lease, fence, save: what makes every result recorded exactly once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.accept import accept
from db.claim import claim, fetch
from db.engine import Database
from db.leases import FEW, MAX_CRASHES, WorkerRow, end_worker, enlist, expire, renew
from db.save import hand_back, save
from db.tables import events, findings, predictions, workers
from stream.arrival import Arrival, CancelNote, JudgeNow, WriteNote
from stream.content import Content, ContentStore
from stream.errors import Broken, Fatal
from stream.event import Judged, Later, Model, NotPredicted, Predicted
from stream.judgement import Finding, Judgement
from stream.queues import Lane
from stream.window import Window

NOTE = "The patient was seen and is well."


def text(words: str) -> Content:
    return Content(digest=words.rjust(64, "0")[:64], size=len(words), data=words.encode())


def send(database: Database, *arrivals: Arrival):
    with database.write() as (connection, now):
        return accept(connection, now, arrivals, slot="test", window=Window())


def image(number: int, lane: Lane = Lane.ROUTINE) -> Arrival:
    ask = JudgeNow(case_key=f"image:{number}", modality="scan", facts={})
    return Arrival(
        feed="dicom", identity=f"sop:{number}", sender_id=str(number), content=text(f"i{number}"), asks=(ask,), lane=lane
    )


def note(version: int, **more) -> Arrival:
    ask = WriteNote(case_key="note:1", text=text(f"text {version}"), facts={}, **more)
    return Arrival(feed="hl7", identity=f"hl7:{version}", sender_id=str(version), content=text(f"m{version}"), asks=(ask,))


def worker(database: Database, name: str = "w") -> int:
    with database.write() as (connection, now):
        return enlist(connection, now, WorkerRow(name=name, device="cpu", host="here", pid=1, queues=""))


def predicted(event, probability: float = 0.9) -> Judged:
    finding = Finding(label="pneumonia", probability=probability, threshold=0.5, positive=True)
    model = Model(name="m", version="1", digest="d")
    return Judged(event=event, verdict=Predicted(judgement=Judgement(findings=(finding,)), model=model))


def keep(database: Database, worker_id: int, *batch: Judged) -> set[int]:
    with database.write() as (connection, now):
        return save(connection, now, worker_id, batch, device="cpu", slot="test")


def crash(database: Database, worker_id: int) -> None:
    with database.write() as (connection, now):
        end_worker(connection, now, worker_id, crashed=True)


def column(database: Database, what: sa.Column) -> list:
    with database.read() as connection:
        return list(connection.execute(sa.select(what).order_by(what.table.c.id)).scalars())


def test_stat_is_claimed_before_routine_before_backlog(database: Database):
    send(database, image(1, Lane.BACKLOG), image(2), image(3, Lane.STAT))
    mine = worker(database)
    assert [[event.lane for event in claim(database, mine, limit=9)] for _ in range(2)] == [["stat"], ["routine", "backlog"]]


def test_stat_overtakes_a_backlog_of_a_hundred_thousand(database: Database):
    send(database, image(1, Lane.BACKLOG))
    many = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n").columns(
        i=sa.Integer
    )
    numbers = many.subquery("numbers")
    same = [column for column in events.c if column.name not in ("id", "case_key")]
    key = sa.literal("image:old") + sa.cast(numbers.c.i, sa.Text)
    with database.write() as (connection, _):
        copied = sa.select(key, *same).select_from(events.join(numbers, sa.true()))
        connection.execute(sa.insert(events).from_select(["case_key", *[column.name for column in same]], copied))
    send(database, image(2, Lane.STAT))
    assert [event.lane for event in claim(database, worker(database))] == ["stat"]


def test_two_workers_never_hold_the_same_event(database: Database):
    send(database, *(image(number) for number in range(8)))
    one, two = worker(database, "a"), worker(database, "b")
    first, second = claim(database, one, limit=5), claim(database, two, limit=5)
    assert len({event.id for event in first + second}) == 8


def test_a_worker_serves_only_its_queues(database: Database):
    send(database, image(1), note(1))
    assert [event.modality for event in claim(database, worker(database), limit=9, queues=("note.routine",))] == ["note"]


def test_a_prediction_is_saved_once_with_its_findings(database: Database):
    send(database, image(1))
    mine = worker(database)
    (event,) = claim(database, mine, limit=1)
    assert keep(database, mine, predicted(event)) == {event.id}
    assert keep(database, mine, predicted(event)) == set()
    with database.read() as connection:
        assert connection.execute(sa.select(findings.c.probability)).scalars().all() == [0.9]


def test_a_zombies_late_result_is_refused_by_the_fence(database: Database):
    send(database, image(1))
    zombie, heir = worker(database, "a"), worker(database, "b")
    (event,) = claim(database, zombie, limit=1)
    crash(database, zombie)
    (again,) = claim(database, heir, limit=1)
    with pytest.raises(Fatal):
        keep(database, zombie, predicted(event))
    assert keep(database, heir, predicted(again)) == {event.id}


def test_a_stale_fence_records_nothing_even_for_the_same_worker(database: Database):
    send(database, image(1))
    mine = worker(database)
    (old,) = claim(database, mine, limit=1)
    with database.write() as (connection, _):
        hand_back(connection, mine, [old])
    claim(database, mine, limit=1)
    assert keep(database, mine, predicted(old)) == set()


def test_what_a_dead_worker_held_is_claimed_together_by_itself(database: Database):
    many = [image(number) for number in range(1, FEW + 2)]
    send(database, *many)
    claim(database, worker(database, "a"), limit=len(many))
    with database.write() as (connection, now):
        assert expire(connection, now + timedelta(seconds=7), {}) == len(many)
    send(database, image(9))
    heir = worker(database, "b")
    assert claim(database, heir, limit=9, behind="routine") == []
    assert [(event.suspect, event.alone) for event in claim(database, heir, limit=9)] == [(True, False)] * len(many)
    assert [event.case_key for event in claim(database, heir, limit=9)] == ["image:9"]


def test_stat_is_claimed_by_itself_and_the_others_behind_it(database: Database):
    send(database, image(1), image(2, Lane.STAT), image(3, Lane.STAT), image(4, Lane.BACKLOG))
    mine = worker(database)
    claimed = [[event.case_key for event in claim(database, mine)] for _ in range(2)]
    assert claimed == [["image:2", "image:3"], ["image:1", "image:4"]]


@pytest.mark.parametrize(("behind", "keys"), [("backlog", []), ("routine", []), ("stat", ["image:2"]), (None, ["image:2"])])
def test_stat_is_not_claimed_behind_a_batch_that_it_should_not_wait_for(database: Database, behind: str | None, keys: list[str]):
    send(database, image(1), image(2, Lane.STAT))
    assert [event.case_key for event in claim(database, worker(database), behind=behind)] == keys


def test_a_worker_of_some_lanes_looks_past_the_others(database: Database):
    send(database, image(1), image(2, Lane.STAT), image(3, Lane.BACKLOG))
    mine = worker(database)
    assert [event.case_key for event in claim(database, mine, queues=["scan.backlog", "lab.backlog"])] == ["image:3"]


def test_after_a_second_crash_each_is_claimed_alone(database: Database):
    many = [image(number) for number in range(1, FEW + 2)]
    send(database, *many)
    for name in ("a", "b"):
        mine = worker(database, name)
        claim(database, mine, limit=len(many))
        crash(database, mine)
    heir = worker(database, "c")
    assert claim(database, heir, limit=9, behind="routine") == []
    for _ in many:
        assert [event.alone for event in claim(database, heir, limit=9)] == [True]


def test_few_are_claimed_alone_at_once(database: Database):
    send(database, *[image(number) for number in range(1, FEW + 1)])
    crash_with_all(database)
    heir = worker(database, "b")
    for _ in range(FEW):
        assert [event.alone for event in claim(database, heir, limit=9)] == [True]


def crash_with_all(database: Database) -> None:
    mine = worker(database)
    claim(database, mine, limit=9)
    crash(database, mine)


@pytest.mark.parametrize("number", [2, FEW + 1])
def test_only_crashes_while_alone_count_and_at_the_cap_the_event_is_dead_with_its_stage(database: Database, number: int):
    send(database, *[image(one) for one in range(1, number + 1)])
    alone = 0
    for _ in range(2 + MAX_CRASHES + number):  # with the others, once or twice; then each by itself
        mine = worker(database)
        batch = claim(database, mine, limit=9)
        if not batch:
            break
        alone += batch[0].alone and batch[0].case_key == "image:1"
        if batch[0].case_key != "image:1":
            keep(database, mine, predicted(batch[0]))
            continue
        with database.write() as (connection, now):
            renew(connection, now, mine, stage="infer")
        crash(database, mine)
    assert alone == MAX_CRASHES
    assert column(database, events.c.state) == ["dead", *["done"] * (number - 1)]
    assert column(database, events.c.stage)[0] == "infer"


def test_a_lost_lease_cannot_claim(database: Database):
    send(database, image(1))
    mine = worker(database)
    crash(database, mine)
    with pytest.raises(Fatal):
        claim(database, mine, limit=1)


def test_the_same_worker_started_again_releases_what_its_last_incarnation_held(database: Database):
    send(database, image(1))
    claim(database, worker(database), limit=1)
    assert len(claim(database, worker(database), limit=1)) == 1
    assert [ended is not None for ended in column(database, workers.c.ended_at)] == [True, False]


def test_a_temporary_error_waits_for_its_time(database: Database):
    send(database, image(1))
    mine = worker(database)
    (event,) = claim(database, mine, limit=1)
    keep(database, mine, Judged(event=event, verdict=Later(reason="no memory", stage="infer", delay_seconds=60)))
    assert column(database, events.c.state) == ["waiting"]
    assert claim(database, mine, limit=1) == []


def test_an_edit_supersedes_what_was_said_of_the_document(database: Database):
    mine = worker(database)
    for version in (1, 2):
        send(database, note(version))
        keep(database, mine, *map(predicted, claim(database, mine, limit=1)))
    assert column(database, predictions.c.status) == ["superseded", "current"]


def test_two_revisions_in_one_batch_leave_the_newer_one_current(database: Database):
    mine = worker(database)
    send(database, note(1))
    send(database, note(2))
    batch = claim(database, mine)
    assert keep(database, mine, *map(predicted, batch)) == {event.id for event in batch}
    assert column(database, predictions.c.status) == ["superseded", "current"]


def test_a_result_for_an_older_revision_is_stored_as_superseded(database: Database):
    send(database, note(1))
    one, two = worker(database, "a"), worker(database, "b")
    (old,) = claim(database, one, limit=1)
    send(database, note(2))
    keep(database, two, *map(predicted, claim(database, two, limit=1)))
    keep(database, one, predicted(old))
    assert sorted(column(database, predictions.c.status)) == ["current", "superseded"]


def test_a_rejected_edit_leaves_no_current_prediction(database: Database):
    mine = worker(database)
    send(database, note(1))
    keep(database, mine, *map(predicted, claim(database, mine, limit=1)))
    send(database, note(2))
    (event,) = claim(database, mine, limit=1)
    keep(database, mine, Judged(event=event, verdict=NotPredicted(outcome="rejected", reason="too short")))
    assert column(database, predictions.c.status) == ["superseded"]


def test_a_cancel_retracts_what_was_said_and_what_is_still_to_come(database: Database):
    mine = worker(database)
    send(database, note(1))
    keep(database, mine, *map(predicted, claim(database, mine, limit=1)))
    send(database, note(2))
    (event,) = claim(database, mine, limit=1)
    send(database, Arrival(feed="hl7", identity="c", sender_id="c", content=text("c"), asks=(CancelNote(case_key="note:1"),)))
    keep(database, mine, predicted(event))
    assert "current" not in column(database, predictions.c.status)
    assert column(database, predictions.c.status)[-1] == "retracted"


def test_a_document_waits_until_it_is_released(database: Database):
    first = send(database, note(1, available=False))
    assert first.receipts[0].disposition == "collecting"
    assert column(database, events.c.id) == []
    send(
        database,
        note(1),
        Arrival(
            feed="hl7", identity="s", sender_id="s", content=text("s"), asks=(WriteNote(case_key="note:1", text=None, facts={}),)
        ),
    )
    assert column(database, events.c.state) == ["waiting"]


def test_content_that_is_gone_breaks_only_its_own_event(database: Database, tmp_path: Path):
    send(database, image(1), image(2))
    mine = worker(database)
    batch = claim(database, mine, limit=2)
    with database.write() as (connection, _):
        connection.execute(sa.text("DELETE FROM contents WHERE data = :data"), {"data": b"i1"})
    store = ContentStore(tmp_path)
    store.make()
    found = fetch(database, store, batch)
    assert isinstance(found[batch[0].id], Broken)
    assert found[batch[1].id] == (b"i2",)


def test_times_come_back_in_utc(database: Database):
    send(database, image(1))
    (received,) = column(database, events.c.received_at)
    assert received.tzinfo is not None
    assert abs((datetime.now(UTC) - received).total_seconds()) < 60
