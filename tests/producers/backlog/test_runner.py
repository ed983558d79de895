"""Files become inputs on the backlog lane, each once, and the manifest says what became of each."""

import gzip
import json
import threading
import zipfile
from pathlib import Path

import pytest
from dicom_samples import ct_slice, file_of, projection
from hl7_sender import header, message, oru, result
from pushing import Pushing
from test_archives import make_tar

from db import backlogs as backlog_rows
from db.backlogs import set_state
from db.tables import cases, contents, events, inputs, tallies
from producers.backlog import commit, reading
from producers.backlog.runner import Stopped
from stream.content import ContentStore
from stream.errors import Fatal, Temporary


def image(**keywords: object) -> bytes:
    return file_of(projection(**keywords))


def observation(number: int) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]},
        "subject": {"identifier": {"system": "urn:oid:1.2.3", "value": "7"}},
        "effectiveDateTime": "2023-03-02T11:00:00Z",
        "issued": "2023-03-02T11:30:00Z",
        "valueQuantity": {"value": 140, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    }


def lines(*numbers: int) -> bytes:
    return b"".join(json.dumps(observation(number)).encode() + b"\n" for number in numbers)


def test_every_kind_of_file_is_taken_on_the_backlog_lane(pushing_on_both: Pushing, archive: Path):
    (archive / "image.dcm").write_bytes(image(SOPInstanceUID="1.2.3"))
    (archive / "1.2.4").write_bytes(image(SOPInstanceUID="1.2.4"))
    (archive / "batch.hl7").write_bytes(b"FHS|^~\\&\r" + oru(result(), control_id="a") + oru(result(), control_id="b") + b"FTS|1\r")
    (archive / "dump.log").write_bytes(oru(result(), control_id="c"))
    (archive / "export.ndjson").write_bytes(lines(1, 2))
    (archive / "one.json").write_text(json.dumps(observation(3)))
    (archive / "packed.ndjson.gz").write_bytes(gzip.compress(lines(4, 5)))
    (archive / "note.txt").write_text("The patient was admitted.")
    with zipfile.ZipFile(archive / "disc.zip", "w") as packed:
        packed.writestr("image.dcm", image(SOPInstanceUID="1.2.5"))
    make_tar(archive / "disc.tar.gz", {"image.dcm": image(SOPInstanceUID="1.2.6"), "m.hl7": oru(result(), control_id="d")})
    row = pushing_on_both.push(archive)
    assert pushing_on_both.inputs() == sorted(
        [
            "1.2.3",
            "1.2.4",
            "1.2.5",
            "1.2.6",
            "a",
            "b",
            "c",
            "d",
            *(f"Observation/o{n}" for n in range(1, 6)),
            str(archive / "note.txt"),
        ]
    )
    assert set(pushing_on_both.files().values()) == {"taken"}
    assert pushing_on_both.lanes() == {("backlog", "backlog")}
    assert (row["state"], row["files"], row["taken"], row["inputs"]) == ("done", 11, 11, 14)


def test_queues_of_the_backlog_lane_are_rung(pushing: Pushing, archive: Path):
    (archive / "image.dcm").write_bytes(image())
    pushing.push(archive)
    assert pushing.rung == ["scan.backlog"]


def test_slices_of_a_series_gather_in_one_case_of_the_backlog_lane(pushing: Pushing, archive: Path):
    for number in range(3):
        (archive / f"{number}.dcm").write_bytes(file_of(ct_slice("1.2.9", number)))
    pushing.push(archive)
    assert [(row["case_key"], row["lane"]) for row in pushing.rows(cases)] == [("series:1.2.9", "backlog")]


def test_an_hl7_batch_in_the_backlog_is_the_same_input_as_over_its_own_feed(pushing: Pushing, archive: Path, door):
    from datetime import UTC, datetime

    from producers.hl7.parse import parse_message

    content = oru(result(), control_id="a")
    live = parse_message(content, door=door, received_at=datetime.now(UTC))
    (archive / "a.hl7").write_bytes(b"BHS|^~\\&\r" + content + b"BTS|1\r")
    pushing.push(archive)
    assert [(row["identity"], row["patient_key"]) for row in pushing.rows(inputs)] == [(live.identity, live.patient_key)]


def test_a_list_of_senders_guards_a_port_and_not_files_that_somebody_has_named(pushing: Pushing, archive: Path):
    (pushing.place / "config").mkdir()
    (pushing.place / "config/feeds.toml").write_text('[hl7]\nallowed_senders = ["ONLY"]\n')
    (archive / "a.hl7").write_bytes(oru(result()))
    assert pushing.push(archive)["taken"] == 1


def test_what_is_refused_is_named_with_its_reason_and_counted(pushing: Pushing, archive: Path):
    (archive / "half.dcm").write_bytes(image()[:400])
    (archive / "page.html").write_bytes(b"<html>")
    (archive / "empty.hl7").write_bytes(b"")
    (archive / "good.dcm").write_bytes(image())
    row = pushing.push(archive)
    assert pushing.reasons()["page.html"] == "neither the file's suffix nor its content is known here"
    assert pushing.reasons()["empty.hl7"] == "there is nothing in this file"
    assert (row["taken"], row["refused"]) == (1, 3)
    assert [row["value"] for row in pushing.rows(tallies) if row["metric"] == "refused"] == [3]


def test_one_bad_message_of_a_batch_is_refused_and_the_others_are_taken(pushing: Pushing, archive: Path):
    bad = message(header("SIU^S12", "x"), "PID|1")
    (archive / "batch.hl7").write_bytes(oru(result(), control_id="a") + bad + oru(result(), control_id="b"))
    pushing.push(archive)
    assert pushing.inputs() == ["a", "b"]
    assert pushing.files() == {"batch.hl7": "taken", "batch.hl7 2": "refused"}
    assert pushing.reasons() == {"batch.hl7 2": "message type not supported (MSH^1^9^1^1)"}


def test_a_part_that_was_refused_is_tried_again_alone_from_the_report(pushing: Pushing, archive: Path):
    bad = message(header("SIU^S12", "x"), "PID|1")
    (archive / "batch.hl7").write_bytes(oru(result(), control_id="a") + bad)
    pushing.push(archive)
    (archive / "batch.hl7").write_bytes(oru(result(), control_id="a") + oru(result("150"), control_id="b"))
    (pushing.place / "failures.csv").write_text(f"path,member,part,state,reason\n{archive / 'batch.hl7'},,2,refused,x\n")
    row = pushing.push(pushing.place / "failures.csv")
    assert (row["files"], row["taken"], row["inputs"]) == (1, 1, 1)
    assert pushing.inputs() == ["a", "b"]


def test_a_done_backlog_started_again_sends_new_files_and_tries_the_others_again(pushing: Pushing, archive: Path):
    (archive / "good.dcm").write_bytes(image())
    (archive / "bad.dcm").write_bytes(b"no")
    pushing.push(archive)
    (archive / "bad.dcm").write_bytes(image())
    (archive / "new.dcm").write_bytes(image())
    row = pushing.push(archive)
    assert (row["files"], row["taken"], row["refused"], row["inputs"]) == (3, 3, 0, 3)


def test_what_another_feed_has_brought_already_is_known(pushing: Pushing, archive: Path):
    (archive / "a.dcm").write_bytes(image(SOPInstanceUID="1.2.3"))
    pushing.push(archive)
    (archive / "copy.dcm").write_bytes((archive / "a.dcm").read_bytes())
    row = pushing.push(archive)
    assert pushing.files() == {"a.dcm": "taken", "copy.dcm": "known"}
    assert row["inputs"] == 1


def test_a_file_that_vanishes_after_it_was_listed_is_failed(pushing: Pushing, archive: Path):
    (archive / "a.dcm").write_bytes(image())
    runner = pushing.runner(archive)
    runner.list_files()
    (archive / "a.dcm").unlink()
    runner.run()
    runner.pool.close()
    assert pushing.reasons() == {"a.dcm": "the file is gone"}


def test_a_file_of_many_messages_is_taken_in_steps(pushing: Pushing, archive: Path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_PARTS", 3)
    (archive / "a.hl7").write_bytes(b"".join(oru(result(), control_id=str(number)) for number in range(10)))
    (archive / "b.ndjson.gz").write_bytes(gzip.compress(lines(*range(10))))
    row = pushing.push(archive)
    assert len(pushing.inputs()) == row["inputs"] == 20
    assert pushing.files() == {"a.hl7": "taken", "b.ndjson.gz": "taken"}


def test_a_file_of_many_messages_goes_on_where_it_was(pushing: Pushing, archive: Path, monkeypatch):
    monkeypatch.setattr(reading, "MOST_PARTS", 3)
    (archive / "a.hl7").write_bytes(b"".join(oru(result(), control_id=str(number)) for number in range(10)))
    stop = threading.Event()
    runner = pushing.runner(archive, stop=stop, show=lambda row: stop.set() if row["inputs"] else None)
    with pytest.raises(Stopped):
        runner.run()
    runner.pool.close()
    taken = pushing.row()["inputs"]
    assert 0 < taken < 10
    assert pushing.push(archive)["inputs"] == 10
    assert pushing.inputs() == [str(number) for number in range(10)]


def cannot_hold(monkeypatch: pytest.MonkeyPatch, sender_id: str) -> None:
    """The ledger fails with every group that holds this input."""
    genuine = commit.accept

    def accept(connection, now, arrivals, **options):
        if any(arrival.sender_id == sender_id for arrival in arrivals):
            raise ValueError("cannot be written")
        return genuine(connection, now, arrivals, **options)

    monkeypatch.setattr(commit, "accept", accept)


def test_an_input_that_the_ledger_cannot_hold_is_refused_without_its_neighbours(pushing: Pushing, archive: Path, monkeypatch):
    (archive / "a.hl7").write_bytes(b"".join(oru(result(), control_id=str(number)) for number in range(4)))
    (archive / "b.dcm").write_bytes(image())
    cannot_hold(monkeypatch, "2")
    row = pushing.push(archive)
    assert len(pushing.inputs()) == row["inputs"] == 4
    assert pushing.reasons() == {"a.hl7 3": "the ledger cannot hold this input"}
    assert pushing.files() == {"a.hl7": "taken", "b.dcm": "taken", "a.hl7 3": "refused"}


def test_a_transaction_that_the_ledger_cannot_hold_is_refused_as_a_whole(pushing: Pushing, archive: Path, monkeypatch):
    for kind in ("transaction", "batch"):
        sent = {"resourceType": "Bundle", "type": kind, "entry": [{"resource": observation(number)} for number in range(3)]}
        (archive / f"{kind}.json").write_text(json.dumps(sent))
    cannot_hold(monkeypatch, "Observation/o1")
    pushing.push(archive)
    assert pushing.inputs() == ["Observation/o0", "Observation/o2"]  # of the batch
    assert pushing.files()["transaction.json"] == "refused"
    assert pushing.reasons()["transaction.json"] == "the ledger cannot hold this input"


def test_large_images_are_files_of_the_store_before_the_ledger_says_so(pushing: Pushing, archive: Path):
    (archive / "a.dcm").write_bytes(image(Rows=512, Columns=512, PixelData=bytes(2**18)))
    pushing.push(archive)
    (row,) = pushing.rows(inputs)
    assert len(ContentStore(pushing.place / "content").get(row["digest"])) == row["size"]


def test_a_message_longer_than_any_is_refused(pushing: Pushing, archive: Path, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST_PART", 5000)
    (archive / "a.hl7").write_bytes(oru(result(), control_id="a") + oru(*[result()] * 200, control_id="b"))
    pushing.push(archive)
    assert pushing.reasons() == {"a.hl7 2": "it is too long"}


def test_a_line_longer_than_any_is_refused_and_the_next_is_taken(pushing: Pushing, archive: Path, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST_PART", 5000)
    (archive / "a.ndjson").write_bytes(b"[" * 600_000 + b"\n" + lines(1))
    pushing.push(archive)
    assert pushing.reasons() == {"a.ndjson 1": "it is too long"}
    assert pushing.inputs() == ["Observation/o1"]


def test_nothing_more_is_sent_while_the_ledger_is_full_of_it(pushing: Pushing, archive: Path):
    for number in range(40):
        (archive / f"{number}.dcm").write_bytes(image())
    waited: list[int] = []

    def show(row):
        if row["waits_for"] == "room":
            waited.append(row["taken"])
            with pushing.database.write() as (connection, _):
                connection.execute(events.update().values(state="done"))

    runner = pushing.runner(archive, depth=10, rate=1e6, show=show)
    runner.pool.most = 5
    assert runner.run()["taken"] == 40
    runner.pool.close()
    assert waited[0] == 10


def test_a_pause_is_honoured_and_a_resume_goes_on(pushing: Pushing, archive: Path):
    for number in range(20):
        (archive / f"{number}.dcm").write_bytes(image())
    seen: list[tuple[str, str]] = []

    def show(row):
        seen.append((row["state"], row["waits_for"]))
        if row["taken"] == 5 and row["state"] == "running" and ("paused", "resume") not in seen:
            change("paused")
        elif (row["state"], row["waits_for"]) == ("paused", "resume"):
            change("running")

    def change(state):
        with pushing.database.write() as (connection, _):
            set_state(connection, 1, state)

    runner = pushing.runner(archive, show=show)
    runner.pool.most = 5
    assert runner.run()["taken"] == 20
    runner.pool.close()
    assert ("paused", "resume") in seen


def test_outside_its_hours_it_lists_and_waits(pushing: Pushing, archive: Path, monkeypatch):
    (archive / "a.dcm").write_bytes(image())
    stop = threading.Event()
    runner = pushing.runner(
        archive, hours="22:00-22:01", show=lambda row: stop.set() if row["waits_for"] == "hours" else None, stop=stop
    )
    monkeypatch.setattr("producers.backlog.pace.Hours.hold", lambda *_: False)
    with pytest.raises(Stopped):
        runner.run()
    runner.pool.close()
    assert (pushing.row()["files"], pushing.row()["taken"]) == (1, 0)


def test_a_process_that_was_overtaken_writes_nothing_more(pushing: Pushing, archive: Path):
    (archive / "a.dcm").write_bytes(image())
    old = pushing.runner(archive)
    old.list_files()
    new = pushing.runner(archive)

    with pytest.raises(Fatal):
        old.run()
    assert new.run()["taken"] == 1
    old.pool.close()
    new.pool.close()
    assert len(pushing.rows(inputs)) == 1


def test_a_second_process_on_the_same_backlog_is_turned_away(pushing: Pushing, archive: Path):
    runner = pushing.runner(archive)
    with pytest.raises(backlog_rows.BusyError, match="being worked on"), pushing.database.write() as (connection, now):
        backlog_rows.take_over(connection, now, runner.row["id"], "there 2", gone=False)
    runner.pool.close()


def test_a_full_disk_is_waited_for_and_nothing_is_refused(pushing: Pushing, archive: Path, monkeypatch):
    (archive / "a.dcm").write_bytes(image(Rows=512, Columns=512, PixelData=bytes(2**18)))
    runner = pushing.runner(archive, show=lambda row: room() if row["waits_for"] == "disk" else None)
    store = runner.pool._here.door.store
    store.watermark = 2**62

    def room():
        store.watermark = 0

    assert runner.run()["taken"] == 1
    runner.pool.close()


def test_a_pool_of_processes_takes_the_same(pushing: Pushing, archive: Path):
    pushing.processes = 1
    for number in range(3):
        (archive / f"{number}.dcm").write_bytes(image())
    (archive / "export.ndjson").write_bytes(lines(1))
    row = pushing.push(archive)
    assert (row["taken"], row["inputs"]) == (4, 4)


def test_a_backlog_that_is_done_may_be_forgotten_and_what_it_brought_stays(pushing_on_both: Pushing, archive: Path):
    (archive / "a.hl7").write_bytes(oru(result(), control_id="a"))
    pushing_on_both.push(archive)
    with pushing_on_both.database.write() as (connection, _):
        assert not backlog_rows.forget_backlog(connection, 1, 10)
        assert backlog_rows.forget_backlog(connection, 1, 10)
    assert (pushing_on_both.files(), pushing_on_both.inputs()) == ({}, ["a"])


def test_a_backlog_that_is_not_done_is_not_forgotten(pushing: Pushing, archive: Path):
    runner = pushing.runner(archive)
    with pytest.raises(backlog_rows.NoBacklogError, match="not done"), pushing.database.write() as (connection, _):
        backlog_rows.forget_backlog(connection, runner.row["id"], 10)
    runner.pool.close()


def test_the_ledger_says_how_fast_it_is_and_when_it_will_be_through(pushing: Pushing, archive: Path):
    for number in range(60):
        (archive / f"{number}.dcm").write_bytes(image())
    seen: list[tuple[object, object]] = []
    runner = pushing.runner(archive, show=lambda row: seen.append((row["files_per_second"], row["eta_at"])), rate=50)
    runner.pool.most = 10
    runner.run()
    runner.pool.close()
    assert any(speed and at for speed, at in seen)


def test_small_contents_are_rows(pushing: Pushing, archive: Path):
    (archive / "a.dcm").write_bytes(image())
    pushing.push(archive)
    assert len(pushing.rows(contents)) == 1


def test_a_commit_whose_answer_was_lost_is_not_made_twice(pushing: Pushing, archive: Path, monkeypatch):
    (archive / "a.dcm").write_bytes(image())
    (archive / "b.hl7").write_bytes(oru(result(), control_id="a") + oru(result(), control_id="b"))
    runner = pushing.runner(archive)
    genuine, lost = runner.committer.commit, []

    def commit(group, **values):
        committed = genuine(group, **values)
        if not lost:
            lost.append(group)
            raise Temporary("the connection broke")
        return committed

    monkeypatch.setattr(runner.committer, "commit", commit)
    row = runner.run()
    runner.pool.close()
    assert (row["taken"], row["known"], row["inputs"]) == (2, 0, 3)
