"""Series: the source's count, silence, late instances; time is an argument."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from db.accept import accept
from db.close import Closer
from db.engine import Database
from db.series import EXPECTED, PATIENCE, SOURCE, STUDY, open_series, set_expected, source_facts
from db.tables import case_inputs, cases, events, inputs
from stream.arrival import Arrival, JoinSeries, Merge, Receipt
from stream.content import Content, ContentStore
from stream.queues import Lane
from stream.window import Window

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUIET = 30.0
CONTENT = Content(digest="0" * 64, size=1, data=b"m")
ASKED = source_facts("CT1", "1.2.9", {"CT1"})


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def add(
    database: Database, number: int, *, seconds: float = 0, facts=ASKED, expected: int | None = None, patient="p", lane=Lane.ROUTINE
) -> Receipt:
    ask = JoinSeries(case_key="series:1.2.3", facts=facts, quiet_seconds=QUIET, expected=expected)
    data = f"slice {number}".encode()
    content = Content(digest=hashlib.sha256(data).hexdigest(), size=len(data), data=data)
    one = Arrival(
        feed="dicom", identity=f"sop:{number}", sender_id=str(number), content=content, patient_key=patient, asks=(ask,), lane=lane
    )
    with database.write() as (connection, _):
        return accept(connection, at(seconds), [one], slot="test", window=Window()).receipts[0]


def tell(database: Database, count: int, *, seconds: float) -> bool:
    with database.write() as (connection, _):
        return set_expected(connection, at(seconds), case(database)["id"], count)


def close(database: Database, folder: Path, *, seconds: float) -> None:
    closer = Closer(store=ContentStore(folder), window=Window(), codes=(), slot="test")
    with database.write() as (connection, _):
        closer.close_due(connection, at(seconds))


def rows(database: Database, table: sa.Table):
    with database.read() as connection:
        return connection.execute(sa.select(table)).mappings().all()


def case(database: Database):
    (row,) = rows(database, cases)
    return row


def asked(database: Database, source: str = "CT1", *, seconds: float = 1):
    with database.read() as connection:
        return open_series(connection, at(seconds), source)


def test_without_a_count_a_series_closes_after_silence(database: Database, tmp_path: Path):
    for number in range(3):
        add(database, number, seconds=number)
    assert case(database)["close_at"] == at(2 + QUIET)
    close(database, tmp_path, seconds=2 + QUIET)
    assert rows(database, events)[0]["revision"] == 1


def test_an_open_series_of_a_source_says_what_to_ask_for(database: Database):
    add(database, 1)
    (one,) = asked(database, seconds=10)
    assert (one.study, one.series, one.silent_seconds, one.quiet_seconds) == ("1.2.9", "1.2.3", 10.0, QUIET)
    assert not asked(database, "MR7")
    assert not asked(database, seconds=QUIET)


def test_a_series_of_no_configured_source_is_asked_of_nobody(database: Database):
    assert source_facts("XRAY", "1.2.9", {"CT1"}) == source_facts("CT1", "", {"CT1"}) == {}
    add(database, 1, facts={})
    assert not asked(database)


def test_a_count_that_is_reached_closes_at_once(database: Database):
    add(database, 1)
    add(database, 2)
    assert tell(database, 2, seconds=5)
    assert case(database)["close_at"] == at(5)


def test_a_count_that_is_not_reached_keeps_it_open_but_not_for_ever(database: Database, tmp_path: Path):
    add(database, 1)
    assert not tell(database, 3, seconds=5)
    assert case(database)["close_at"] == at(PATIENCE * QUIET)
    close(database, tmp_path, seconds=PATIENCE * QUIET)
    (event,) = rows(database, events)
    assert event["facts"][EXPECTED] == 3
    assert len(rows(database, case_inputs)) == 1


def test_the_instance_that_reaches_the_count_closes_at_once(database: Database):
    add(database, 1)
    tell(database, 3, seconds=5)
    add(database, 2, seconds=20)
    assert case(database)["close_at"] == at(20 + PATIENCE * QUIET)
    add(database, 3, seconds=21)
    assert case(database)["close_at"] == at(21)


def test_more_instances_than_counted_make_the_count_old(database: Database):
    add(database, 1)
    tell(database, 1, seconds=5)
    add(database, 2, seconds=5)
    assert (case(database)["expected"], case(database)["close_at"]) == (None, at(5 + QUIET))
    assert len(asked(database, seconds=20)) == 1


def test_a_late_instance_makes_the_next_revision(database: Database, tmp_path: Path):
    add(database, 1)
    tell(database, 1, seconds=5)
    close(database, tmp_path, seconds=5)
    add(database, 2, seconds=60)
    assert tell(database, 2, seconds=70)
    close(database, tmp_path, seconds=70)
    assert [event["revision"] for event in rows(database, events)] == [1, 2]
    assert {kept["disposition"] for kept in rows(database, inputs)} == {"in_event"}


def test_a_count_that_comes_after_the_close_changes_nothing(database: Database, tmp_path: Path):
    add(database, 1)
    close(database, tmp_path, seconds=QUIET)
    assert not tell(database, 5, seconds=QUIET + 1)
    assert (case(database)["expected"], case(database)["close_at"]) == (None, None)


def test_a_declared_count_holds_without_a_source(database: Database):
    add(database, 1, facts={}, expected=2)
    assert case(database)["close_at"] == at(PATIENCE * QUIET)
    add(database, 2, facts={}, expected=2, seconds=1)
    assert case(database)["close_at"] == at(1)


def test_a_series_that_began_over_another_feed_learns_its_source(database: Database):
    add(database, 1, facts={"modality": "CT"})
    add(database, 2)
    assert case(database)["facts"] == {"modality": "CT", SOURCE: "CT1", STUDY: "1.2.9"}
    assert len(asked(database)) == 1


def test_a_slice_of_another_patient_joins_no_series(database: Database):
    add(database, 1)
    receipt = add(database, 2, patient="q")
    assert (receipt.disposition, receipt.reason, receipt.conflict) == ("not_used", "the series is of another patient", True)
    assert len(rows(database, case_inputs)) == 1


def test_a_slice_joins_under_another_key_of_its_patient(database: Database):
    add(database, 1)
    merge = Arrival(feed="hl7", identity="a40", sender_id="a40", content=CONTENT, patient_key="q", asks=(Merge(other="p"),))
    with database.write() as (connection, now):
        accept(connection, now, [merge], slot="test", window=Window())
    assert add(database, 2, patient="q").disposition == "collecting"


def test_a_slice_that_is_sent_again_as_stat_promotes_the_series_that_it_gathers_in(database: Database, tmp_path: Path):
    add(database, 1)
    assert add(database, 1, lane=Lane.STAT).known
    assert case(database)["lane"] == "stat"
    close(database, tmp_path, seconds=QUIET)
    assert rows(database, events)[0]["lane"] == "stat"


def test_a_slice_that_is_sent_again_without_haste_leaves_the_lane(database: Database):
    add(database, 1, lane=Lane.STAT)
    add(database, 1)
    assert case(database)["lane"] == "stat"


@pytest.mark.parametrize("count", [1, 500])
def test_the_statements_for_an_instance_do_not_grow_with_its_series(sqlite: Database, count: int):
    for number in range(count):
        add(sqlite, number, seconds=number / 1000)
    said: list[str] = []
    sqlite.engine.dispose()
    sa.event.listen(sqlite.engine, "connect", lambda connection, _: connection.set_trace_callback(said.append))
    add(sqlite, count, seconds=1)
    assert 5 < len(said) < 25
