"""The backlog as a user runs it: killed again and again until it is done, then reported, mended and pushed again."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicom_samples import MARK, file_of, projection
from hl7_sender import CANARY_NAME, CANARY_NUMBER, oru, result
from servers import end_with_parent
from started import Ledger, Up, environment, processes_of, run, until

from db.engine import Database
from db.migrate import upgrade

#: Fast enough for a test, slow enough to be killed in the middle.
RATE = "60"


def image(uid: str) -> bytes:
    """The template's patient is in the card's age range."""
    return file_of(projection(SOPInstanceUID=uid, Rows=64, Columns=64, PixelData=bytes(range(256)) * 16))


def write_archive(folder: Path, images: int) -> set[str]:
    """Images, messages in a batch and members of a ZIP, and one broken file; what the senders call the inputs."""
    names = set()
    for number in range(images):
        place = folder / f"{number % 7}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.dcm").write_bytes(image(f"1.2.{number}"))
        names.add(f"1.2.{number}")
    messages = [f"m{number}" for number in range(40)]
    (folder / "batch.hl7").write_bytes(b"".join(oru(result(), control_id=name) for name in messages))
    with zipfile.ZipFile(folder / "disc.zip", "w") as disc:
        for number in range(10):
            disc.writestr(f"{number}.dcm", image(f"1.3.{number}"))
            names.add(f"1.3.{number}")
    (folder / "broken.dcm").write_bytes(image("1.4.1")[:300])
    return names | set(messages)


def start(home: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dxstream", "backlog", "--home", str(home), "--rate", RATE, "--processes", "1", str(folder)]
    with (home.parent / "backlog.log").open("ab") as log:
        return subprocess.Popen(
            command, env=environment(), stdout=log, stderr=log, start_new_session=True, preexec_fn=end_with_parent
        )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    database = Database(f"sqlite:///{home / 'dxstream.sqlite'}")
    upgrade(database)
    database.close()
    return home


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{home / 'dxstream.sqlite'}")
    yield ledger
    ledger.close()


def done_files(ledger: Ledger) -> int:
    rows = ledger.rows("SELECT taken + refused AS n FROM backlogs")
    return rows[0]["n"] if rows else 0


def test_killed_at_random_moments_each_file_is_taken_exactly_once(home: Path, ledger: Ledger, tmp_path: Path):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    names = write_archive(tmp_path / "archive", 150)
    kills = 0
    while True:
        process = start(home, tmp_path / "archive")
        kill_at = done_files(ledger) + chance.randrange(5, 60)
        while process.poll() is None and (kills == 3 or done_files(ledger) < kill_at):
            time.sleep(chance.uniform(0.0, 0.05))
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda pid=process.pid: not processes_of(pid), "its processes end with it", seconds=30)
        kills += 1
    words = f"seed {seed}, {kills} kills, {(tmp_path / 'backlog.log').read_text()[-2000:]}"
    assert process.returncode == 1, words  # one file is broken
    assert Counter(row["sender_id"] for row in ledger.inputs()) == Counter(names), words
    assert ledger.count("state", table="backlog_files") == {("taken",): 161, ("refused",): 1}, words
    (row,) = ledger.rows("SELECT files, taken, known, refused, failed, inputs, state FROM backlogs")
    assert dict(row) == {
        "files": 162, "taken": 161, "known": 0, "refused": 1, "failed": 0, "inputs": len(names), "state": "done",
    }, words  # fmt: skip
    assert kills > 0, words


def test_what_was_not_taken_is_reported_mended_and_pushed_again(home: Path, ledger: Ledger, tmp_path: Path):
    write_archive(tmp_path / "archive", 3)
    assert run("backlog", str(tmp_path / "archive"), "--processes", "0", home=home).returncode == 1
    failures = tmp_path / "failures.csv"
    done = run("backlog", "report", "1", "--json", "--failures", str(failures), home=home)
    assert {(one["outcome"], one["n"]) for one in json.loads(done.stdout)["reasons"]} == {("taken", 14), ("refused", 1)}
    with failures.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (Path(row["path"]).name, row["state"]) == ("broken.dcm", "refused")
    Path(row["path"]).write_bytes(image("1.4.1"))
    again = run("backlog", str(failures), "--processes", "0", home=home)
    assert again.returncode == 0, again.stderr
    assert "1.4.1" in {row["sender_id"] for row in ledger.inputs()}


def test_a_backlog_is_listed_and_paused_and_resumed_by_its_number(home: Path, ledger: Ledger, tmp_path: Path):
    (tmp_path / "a.dcm").write_bytes(image("1.2.3"))
    stopped = start(home, tmp_path / "a.dcm")
    while done_files(ledger) < 1:
        time.sleep(0.05)
    stopped.wait()
    assert run("backlog", "pause", "1", home=home).stderr == "dxstream: backlog 1 is done\n"
    ledger_write(ledger, "UPDATE backlogs SET state = 'running'")
    assert run("backlog", "pause", "1", home=home).stdout == "backlog 1 is paused\n"
    assert run("backlog", "resume", "1", home=home).stdout == "backlog 1 is running\n"
    (row,) = json.loads(run("backlog", "list", "--json", home=home).stdout)
    assert (row["id"], row["taken"]) == (1, 1)


def ledger_write(ledger: Ledger, text: str) -> None:
    import sqlalchemy as sa

    with ledger.database.write() as (connection, _):
        connection.execute(sa.text(text))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("push", "/nowhere/at/all"), "does not exist"),
        (("report", "7"), "there is no backlog 7"),
        (("pull", "--from", "nobody", "--dates", "20200101-20200102"), "AE@host:port"),
        ((".", "--window", "nightly"), "22:00-06:00"),
    ],
)
def test_wrong_usage_is_said_in_words(home: Path, arguments: tuple[str, ...], words: str):
    done = run("backlog", *arguments, home=home)
    assert done.returncode in (1, 2)
    assert words in done.stderr


def test_no_patient_stands_in_what_it_prints(home: Path, tmp_path: Path):
    write_archive(tmp_path / "archive", 3)
    done = run("backlog", str(tmp_path / "archive"), home=home)
    said = done.stdout + done.stderr
    assert not [mark for mark in (MARK, CANARY_NAME, CANARY_NUMBER) if mark in said]


def test_images_in_place_are_judged_where_they_lie(up: Up, tmp_path: Path):
    (tmp_path / "archive").mkdir()
    for number in range(4):
        (tmp_path / f"archive/{number}.dcm").write_bytes(image(f"1.5.{number}"))
    done = run("backlog", str(tmp_path / "archive"), "--in-place", home=up.home)
    assert done.returncode == 0, done.stderr
    up.ledger.settle()
    events = up.ledger.rows("SELECT state, outcome, lane FROM events WHERE feed = 'backlog'")
    assert len(events) == 4
    assert {(event["state"], event["lane"]) for event in events} == {("done", "backlog")}
    assert not [path for path in (up.home / "content").rglob("*") if path.is_file()]
