"""Labels by CSV: what is kept, what is told by its line, and what the models' counters make of it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from db.accept import accept
from db.claim import claim
from db.engine import Database
from db.leases import WorkerRow, enlist
from db.save import save
from db.tables import labels
from db.tally import read_tallies
from dxstream.label_file import Imported, import_labels, unused_lines
from stream.arrival import Arrival, JudgeNow
from stream.content import Content
from stream.errors import DxstreamError
from stream.event import Judged, Model, Predicted
from stream.judgement import Finding, Judgement
from stream.window import Window


@pytest.fixture
def judged(database: Database) -> Database:
    """Events 1 to 3 of the senders a, b and c: the model says that a and b are sick."""
    for name in "abc":
        ask = JudgeNow(case_key=f"sop:{name}", modality="scan", facts={})
        content = Content(digest=name.rjust(64, "0"), size=1, data=b"1")
        arrival = Arrival(feed="dicom", identity=f"sop:{name}", sender_id=name, content=content, asks=(ask,))
        with database.write() as (connection, now):
            accept(connection, now, [arrival], slot="test", window=Window())
    with database.write() as (connection, now):
        worker_id = enlist(connection, now, WorkerRow(name="w", device="cpu", host="h", pid=1, queues=""))
    model = Model(name="m", version="1", digest="d")
    batch = []
    for event in claim(database, worker_id):
        finding = Finding(label="sick", probability=0.9, threshold=0.5, positive=event.case_key != "sop:c")
        batch.append(Judged(event=event, verdict=Predicted(judgement=Judgement(findings=(finding,)), model=model)))
    with database.write() as (connection, now):
        save(connection, now, worker_id, batch, device="cpu", slot="test")
    return database


def take(database: Database, folder: Path, text: str, **more: str) -> Imported:
    path = folder / "labels.csv"
    path.write_text(text)
    return import_labels(database, path, **more)


def kept(database: Database) -> list[tuple]:
    query = sa.select(labels.c.event_id, labels.c.label, labels.c.value, labels.c.source).order_by(
        labels.c.event_id, labels.c.source
    )
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def agreement(database: Database) -> dict[str, int]:
    with database.read() as connection:
        found = read_tallies(connection).get("labelled_findings", {})
    return {agreed: number for (_, _, agreed), number in found.items()}


def test_a_label_comes_in_by_event_or_by_what_the_sender_calls_it(judged: Database, tmp_path: Path):
    done = take(judged, tmp_path, "event_id,sender_id,label,value\n1,,sick,1\n,b,sick,no\n", source="registry")
    assert (done.new, done.unused) == (2, {})
    assert kept(judged) == [(1, "sick", True, "registry"), (2, "sick", False, "registry")]


def test_the_models_agreement_is_counted_by_model_and_label(judged: Database, tmp_path: Path):
    take(judged, tmp_path, "event_id,label,value\n1,sick,1\n2,sick,0\n3,sick,0\n")
    assert agreement(judged) == {"true": 2, "false": 1}


def test_a_label_that_is_told_again_is_kept_anew_and_counted_once(judged: Database, tmp_path: Path):
    take(judged, tmp_path, "event_id,label,value\n1,sick,1\n")
    done = take(judged, tmp_path, "event_id,label,value\n1,sick,0\n")
    assert (done.new, done.again) == (0, 1)
    assert kept(judged) == [(1, "sick", False, "unnamed")]
    assert agreement(judged) == {"true": 1}


def test_two_sources_may_differ(judged: Database, tmp_path: Path):
    take(judged, tmp_path, "event_id,label,value,source\n1,sick,1,one\n1,sick,0,two\n")
    assert [row[2:] for row in kept(judged)] == [(True, "one"), (False, "two")]


def test_a_line_that_cannot_be_used_is_told_by_its_number_and_all_others_are_kept(judged: Database, tmp_path: Path):
    lines = [
        "99,sick,1,",
        "1,,1,",
        "1,sick,maybe,",
        ",sick,1,",
        "1,healthy,1,",
        "1,sick,1,yesterday",
        "1,sick,1,2026-01-01",
        "x,sick,1,",
    ]
    done = take(judged, tmp_path, "event_id,label,value,at\n" + "\n".join(lines) + "\n2,sick,1,2026-01-01T08:00:00+01:00\n")
    assert list(unused_lines(done)) == [
        "line 2: no such event",
        "line 3: label is empty",
        "line 4: value is neither 1 nor 0 (nor yes, no, true, false)",
        "line 5: neither event_id nor sender_id is given",
        "line 6: no model has a finding of that label; the labels are: sick",
        "line 7: at is no time as ISO 8601 writes it",
        "line 8: at has no offset from UTC",
        "line 9: no such event",
    ]
    assert [row[0] for row in kept(judged)] == [2]


def test_a_sender_id_that_two_feeds_used_is_not_guessed(judged: Database, tmp_path: Path):
    ask = JudgeNow(case_key="sop:other", modality="scan", facts={})
    content = Content(digest="0" * 64, size=1, data=b"2")
    again = Arrival(feed="folder", identity="sop:other", sender_id="a", content=content, asks=(ask,))
    with judged.write() as (connection, now):
        accept(connection, now, [again], slot="test", window=Window())
    done = take(judged, tmp_path, "sender_id,label,value\na,sick,1\n")
    assert done.unused == {2: "several events have this sender_id; name the event by its id"}


def test_a_file_without_its_columns_is_refused(sqlite: Database, tmp_path: Path):
    with pytest.raises(DxstreamError, match="no column event_id or sender_id, value"):
        take(sqlite, tmp_path, "label\nsick\n")
