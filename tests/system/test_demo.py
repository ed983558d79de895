"""The demo, and the same hospital while processes are killed: nothing accepted is lost and nothing is said twice."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from started import Up, processes_of, run, running_up, until

from db.report import DISPOSITIONS, STATES
from dxstream.hospital.book import Book, compare
from dxstream.hospital.planning import plan
from dxstream.hospital.send import send_all


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo of 30 cases that has ended, and its home."""
    home = tmp_path_factory.mktemp("demo") / "home"
    return run("demo", "--events", "30", home=home, DXSTREAM_DEVICES="cpu:1"), home


def status_of(home: Path) -> dict:
    return json.loads(run("status", "--json", home=home).stdout)


def test_the_demo_ends_well(demo):
    done, home = demo
    logs = "".join(path.read_text() for path in (home / "logs").glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs


def test_the_numbers_add_up_when_no_process_runs_any_more(demo):
    status = status_of(demo[1])
    assert status["inputs"]["accepted"] == sum(status["inputs"][name] for name in DISPOSITIONS) > 0
    assert status["events"]["received"] == sum(status["events"][name] for name in STATES) > 0
    assert sum(status["outcomes"].values()) == status["events"]["done"]


def test_every_event_of_the_demo_ended_done(demo):
    events = status_of(demo[1])["events"]
    assert events["done"] == events["received"]


def test_the_demos_book_agrees_with_the_inputs(demo):
    home = demo[1]
    (path,) = (home / "books").glob("*.jsonl")
    book = Book(path)
    assert len(book.entries()) > 30
    assert not compare(book, json.loads(run("inputs", "--json", home=home).stdout))


def test_most_of_what_the_hospital_sends_is_predicted(demo):
    status = status_of(demo[1])
    assert status["outcomes"]["predicted"] > 0.7 * status["events"]["done"]


def test_no_worker_is_said_to_live_after_the_end(demo):
    assert not [worker for worker in status_of(demo[1])["workers"] if worker["alive"]]


# Killed in the middle ---------------------------------------------------------------------------------------------


@contextmanager
def sending(up: Up, folder: Path, seed: int, cases: int = 60) -> Iterator[Book]:
    """A hospital that sends while the block runs; afterwards all is sent and every event has ended."""
    book = Book(folder / "book.jsonl")
    hospital = threading.Thread(target=send_all, args=(plan(cases, seed, datetime.now(UTC)), up.ports, book, lambda _: None))
    hospital.start()
    try:
        until(book.entries, "the first answer")
        yield book
    finally:
        hospital.join()
    up.ledger.settle()


def wrong(up: Up, book: Book) -> list[str]:
    """What does not agree after all has ended: the book, unfinished events, events with two predictions of one model."""
    mine = {entry.sender_id for entry in book.entries()}
    inputs = [row for row in up.ledger.inputs() if row["sender_id"] in mine]
    unfinished = [f"{row['id']} {row['state']} {row['reason']}" for row in up.ledger.events() if row["state"] != "done"]
    said = Counter((row["event_id"], row["model_digest"]) for row in up.ledger.predictions())
    return compare(book, inputs) + unfinished + [f"event {event} twice" for (event, _), number in said.items() if number > 1]


def busy_worker(up: Up) -> str:
    """The name of a worker that holds events now."""
    query = "SELECT w.name FROM workers w JOIN events e ON e.holder = w.id AND e.state = 'leased' LIMIT 1"
    return until(lambda: [row["name"] for row in up.ledger.rows(query)] or up.ledger.settled() and ["cpu-0"], "a worker is busy")[0]


@pytest.mark.timeout(600)
def test_workers_killed_again_and_again_cost_no_event_and_say_nothing_twice(up_with_two_workers, tmp_path):
    up = up_with_two_workers
    with sending(up, tmp_path, seed=21) as book:
        for _ in range(4):
            name = f"worker {busy_worker(up)}"
            pid = until(lambda name=name: up.children().get(name), f"{name} runs")
            os.kill(pid, signal.SIGKILL)
            up.replaced(name, pid)
    assert not wrong(up, book)


def kill_and_replace(name: str) -> Callable[[Up], None]:
    def kill(up: Up) -> None:
        up.replaced(name, up.kill(name))

    return kill


@pytest.mark.parametrize("name", ["keeper", "redis"])
def test_a_killed_process_is_replaced_and_work_goes_on(up_with_two_workers, tmp_path, name):
    up = up_with_two_workers
    until(up.all_ready, "everything is ready")
    with sending(up, tmp_path, seed=len(name), cases=30) as book:
        kill_and_replace(name)(up)
    assert not wrong(up, book)
    until(up.all_ready, "everything is ready again")


def test_a_killed_intake_is_replaced_and_takes_more(up_with_two_workers, tmp_path):
    up = up_with_two_workers
    before = up.ports
    kill_and_replace("intake")(up)
    until(up.all_ready, "everything is ready again")
    assert repr(up.ports) == repr(before), "a sender finds the ports where they were"
    with sending(up, tmp_path, seed=77, cases=12) as book:
        pass
    assert not wrong(up, book)


def test_an_intake_killed_while_it_takes_loses_nothing_that_it_acknowledged(up_with_two_workers, tmp_path):
    up = up_with_two_workers
    until(up.all_ready, "everything is ready")
    with sending(up, tmp_path, seed=78, cases=30) as book:
        kill_and_replace("intake")(up)
    assert not wrong(up, book)


def test_redis_emptied_while_events_wait_costs_none(up_with_two_workers, tmp_path):
    import redis

    up = up_with_two_workers
    until(up.all_ready, "everything is ready")
    with sending(up, tmp_path, seed=79, cases=30) as book, redis.Redis.from_url(up.addresses["redis_url"]) as client:
        for _ in range(5):
            client.flushall()
            time.sleep(0.2)
    assert not wrong(up, book)


def test_torch_is_in_no_process_but_the_workers(up_with_two_workers):
    mapped = {name: Path(f"/proc/{pid}/maps").read_text() for name, pid in up_with_two_workers.children().items()}
    mapped["up"] = Path(f"/proc/{up_with_two_workers.process.pid}/maps").read_text()
    assert sorted(name for name, maps in mapped.items() if "libtorch" in maps) == ["worker cpu-0", "worker cpu-1"]


def test_a_killed_up_leaves_no_process(tmp_path):
    with running_up(tmp_path / "home") as up:
        os.kill(up.process.pid, signal.SIGKILL)
        up.process.wait()
        up.gone()
        up.start()  # and its home can be used again
        assert up.all_ready()


def test_up_asked_to_end_while_it_starts_leaves_no_process(tmp_path):
    up = Up(tmp_path / "home", {"DXSTREAM_DEVICES": "cpu:1"})
    try:
        starting = threading.Thread(target=_start, args=(up,))
        starting.start()
        until(lambda: hasattr(up, "process") and len(processes_of(up.process.pid)) > 1, "its first child")
        up.process.terminate()
        up.process.wait(60)
        up.gone()
        starting.join()
    finally:
        up.end()


def _start(up: Up) -> None:
    try:
        up.start()
        up.ledger.close()
    except AssertionError:  # it ended first, as it was asked to
        pass
