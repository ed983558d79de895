"""While processes are killed: metrics, ledger and the senders' own book agree; a backup taken meanwhile comes back whole.

``DXSTREAM_TEST_CASES=10000`` makes it the long run.
"""

import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families
from started import Ledger, run, running_up, until

from dxstream.hospital.book import Book, compare
from dxstream.hospital.planning import plan
from dxstream.hospital.send import send_all

CASES = int(os.environ.get("DXSTREAM_TEST_CASES", "60"))
KILLED = ("worker cpu-0", "intake", "keeper", "worker cpu-1")

pytestmark = pytest.mark.timeout(max(300, CASES))


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """(the running installation, the senders' book, the metrics at the end, the backup that was taken under load)."""
    place = tmp_path_factory.mktemp("house")
    with running_up(place / "home", DXSTREAM_DEVICES="cpu:2") as up:
        book = Book(place / "book.jsonl")
        sending = threading.Thread(target=send_all, args=(plan(CASES, 3, datetime.now(UTC)), up.ports, book, lambda _: None))
        sending.start()
        for name in KILLED:
            before = len(book.entries())
            until(lambda before=before: len(book.entries()) > before + CASES // 20 or not sending.is_alive(), "something is sent")
            up.replaced(name, up.kill(name))
        done = run("backup", str(place / "backup"), home=up.home)
        assert done.returncode == 0, done.stderr
        sending.join()
        until(up.all_ready, "everything is ready again")
        up.ledger.settle()
        until(lambda: samples(up.metrics(), "dxstream_latency_seconds_count"), "a heartbeat has written its histograms")
        yield up, book, up.metrics(), place / "backup"


def told(day, name):
    """Label values → number, without zeros."""
    return samples(day[2], name)


def samples(metrics, name):
    families = text_string_to_metric_families(metrics)
    found = [sample for family in families for sample in family.samples if sample.name == name and sample.value]
    return {frozenset(sample.labels.items()): sample.value for sample in found}


def counted(day, table, *columns, where="1 = 1"):
    rows = day[0].ledger.count(*columns, table=table, where=where)
    return {frozenset(zip(columns, values, strict=True)): float(number) for values, number in rows.items()}


def test_the_senders_book_agrees_with_the_inputs(day):
    up, book, *_ = day
    assert len(book.entries()) >= CASES
    assert compare(book, up.ledger.inputs()) == []


def test_the_counters_of_inputs_agree_with_the_ledger_and_the_book(day):
    assert told(day, "dxstream_inputs_total") == counted(day, "inputs", "feed", "disposition")
    acknowledged = {entry.sender_id for entry in day[1].entries()}
    assert sum(told(day, "dxstream_inputs_total").values()) == len(acknowledged)


def test_the_counters_of_events_agree_with_the_ledger(day):
    received = Counter()
    for labels, number in counted(day, "events", "modality", "lane").items():
        received[labels] += number
    assert told(day, "dxstream_events_received_total") == received
    done = counted(day, "events", "modality", "lane", "outcome", where="state = 'done'")
    assert told(day, "dxstream_events_done_total") == done
    assert told(day, "dxstream_dead_total") == {}


def test_the_counter_of_predictions_agrees_with_the_ledger(day):
    assert told(day, "dxstream_predictions_total") == counted(day, "predictions", "model")


def test_nothing_is_left_in_the_gauges_of_those_who_were_killed(day):
    assert told(day, "dxstream_queue_depth") == {}
    workers = {dict(labels)["worker"]: up for labels, up in told(day, "dxstream_worker_up").items()}
    assert workers == {"cpu-0": 1, "cpu-1": 1}
    assert not [age for age in told(day, "dxstream_oldest_waiting_seconds").values() if age]


def test_the_histograms_miss_at_most_what_the_killed_had_not_written(day):
    latencies = sum(told(day, "dxstream_latency_seconds_count").values())
    done = sum(told(day, "dxstream_events_done_total").values())
    assert 0 < latencies <= done


def test_the_backup_comes_back_whole_and_goes_on(day, tmp_path):
    home, manifest = tmp_path / "elsewhere", json.loads((day[3] / "backup.json").read_text())
    assert run("restore", str(day[3]), home=home).returncode == 0
    checked = run("doctor", "--verify", home=home)
    assert checked.returncode == 0, checked.stdout
    ledger = Ledger(f"sqlite:///{home / 'dxstream.sqlite'}")
    status = ledger.status()
    ledger.close()
    assert status["inputs"]["accepted"] == manifest["inputs"] > 0
    assert status["events"]["received"] == manifest["events"]
    with running_up(home) as up:
        up.ledger.settle()
        after = up.ledger.status()
    assert after["events"]["done"] == after["events"]["received"] >= manifest["events"]


def test_the_slowest_events_are_told_with_their_stages(day):
    done = run("events", "--slowest", "3", "--json", home=day[0].home)
    rows = json.loads(done.stdout)
    assert len(rows) == 3
    assert [row["seconds"] for row in rows] == sorted((row["seconds"] for row in rows), reverse=True)
    assert all(row["infer_seconds"] is not None or row["outcome"] != "predicted" for row in rows)
