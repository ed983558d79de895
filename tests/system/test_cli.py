"""The command line as a person or a script uses it: exit codes, one JSON document, clear words when something is wrong."""

import json
import socket
from datetime import UTC, datetime

import pytest
from started import Up, run, until

from db.accept import accept
from db.claim import claim
from db.engine import Database
from db.leases import WorkerRow, enlist
from db.migrate import upgrade
from db.save import save
from stream.arrival import Arrival, JudgeNow
from stream.content import Content
from stream.event import GivenUp, Judged
from stream.window import Window


def one_document(done):
    """Standard output is one JSON document, and standard error is not part of it."""
    return json.loads(done.stdout)


def fill(ledger: Database, *names: str) -> None:
    """One dead event for each name."""
    arrivals = []
    for name in names:
        content = Content(digest=name.rjust(64, "0"), size=3, data=b"abc")
        ask = JudgeNow(case_key=f"sop:{name}", modality="scan", facts={}, acquired_at=datetime(2026, 3, 1, tzinfo=UTC))
        arrivals.append(Arrival(feed="dicom", identity=f"sop:{name}", sender_id=name, content=content, asks=(ask,)))
    with ledger.write() as (connection, now):
        accept(connection, now, arrivals, slot="test", window=Window())
        row = WorkerRow(name="w", device="cpu", host="here", pid=1, queues="scan.routine")
        worker_id = enlist(connection, now, row)
    claimed = claim(ledger, worker_id, queues=["scan.routine"])
    verdict = GivenUp(reason="its content is gone", stage="fetch")
    with ledger.write() as (connection, now):
        save(connection, now, worker_id, [Judged(event=event, verdict=verdict) for event in claimed], device="cpu", slot="test")


@pytest.fixture
def home(tmp_path):
    """A home with three dead events, in which nothing runs."""
    tmp_path.joinpath("home").mkdir()
    ledger = Database(f"sqlite:///{tmp_path / 'home' / 'dxstream.sqlite'}")
    upgrade(ledger)
    fill(ledger, "a", "b", "c")
    ledger.close()
    return tmp_path / "home"


def dead(home):
    return {row["id"]: row["reason"] for row in one_document(run("dead", "list", "--json", home=home))}


def test_dead_events_are_listed_with_stage_and_reason(home):
    rows = one_document(run("dead", "list", "--json", home=home))
    assert [(row["state"], row["stage"], row["reason"]) for row in rows] == [("dead", "fetch", "its content is gone")] * 3


def test_a_dead_event_that_is_retried_waits_again(home):
    first = min(dead(home))
    assert run("dead", "retry", str(first), home=home).returncode == 0
    events = {row["id"]: row["state"] for row in one_document(run("events", "--json", home=home))}
    assert events.pop(first) == "waiting"
    assert set(events.values()) == {"dead"}


def test_a_dead_event_that_is_dropped_keeps_its_row(home):
    first = min(dead(home))
    assert run("dead", "drop", str(first), home=home).returncode == 0
    assert dead(home)[first] == "dropped: its content is gone"
    assert one_document(run("status", "--json", home=home))["events"]["dead"] == 3


def test_all_dead_events_are_retried_at_once(home):
    assert run("dead", "retry", "--all", home=home).returncode == 0
    assert not dead(home)


def test_an_event_that_is_not_dead_cannot_be_retried(home):
    assert run("dead", "retry", "99", home=home).returncode == 1


def test_naming_no_event_is_wrong_usage(home):
    assert run("dead", "retry", home=home).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("status", "--nothing"),
        ("serve", "fax"),
        ("patient",),
        ("worker", "--queues", "scan.never"),
        ("demo", "--events", "many"),
    ],
)
def test_wrong_usage_ends_with_two_and_says_so_on_standard_error(tmp_path, arguments):
    done = run(*arguments, DXSTREAM_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("events",), ("inputs",), ("predictions",), ("dead", "list"), ("patient", "nobody"), ("models", "list")],
)
def test_json_is_one_document_on_standard_output(home, arguments):
    done = run(*arguments, "--json", DXSTREAM_HOME=str(home))
    assert done.returncode == 0, done.stderr
    one_document(done)


def test_a_patient_key_shows_all_events_of_a_patient(home):
    assert one_document(run("patient", "", "--json", home=home))["events"]


def test_a_home_in_which_nothing_ever_ran_is_named(tmp_path):
    done = run("status", "--json", home=tmp_path / "none")
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(tmp_path / "none") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_that_was_only_asked_about_is_not_made(tmp_path):
    run("status", home=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_setting_that_cannot_be_used_is_named(tmp_path):
    done = run("status", home=tmp_path, DXSTREAM_DICOM_PORT="many")
    assert done.returncode == 1
    assert "DXSTREAM_DICOM_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("devices", "words"), [("gpu", "cpu, cpu:2, cuda:0"), ("cuda:7", "GPU"), ("cpu,cpu", "twice")])
def test_the_doctor_names_a_device_that_is_not_there(tmp_path, devices, words):
    done = run("doctor", "--json", home=tmp_path, DXSTREAM_DEVICES=devices)
    assert done.returncode == 1
    missing = [row for row in one_document(done) if row["state"] == "missing"]
    assert any(words in row["remedy"] for row in missing), missing


def test_the_doctor_finds_nothing_missing_here(tmp_path):
    done = run("doctor", "--json", home=tmp_path, DXSTREAM_DEVICES="cpu")
    assert not [row for row in one_document(done) if row["state"] == "missing"]
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["DICOM", "MLLP", "HTTP", "METRICS"])
def test_a_port_that_is_taken_is_named(tmp_path, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("up", home=tmp_path / "home", DXSTREAM_DEVICES="cpu:1", **{f"DXSTREAM_{name}_PORT": str(port)})
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "value"), [("DEVICES", "gpu"), ("DATABASE_URL", "nonsense://nowhere")])
def test_up_says_in_one_line_which_setting_keeps_it_from_starting(tmp_path, name, value):
    done = run("up", home=tmp_path / "home", **{"DXSTREAM_DEVICES": "cpu:1", f"DXSTREAM_{name}": value})
    assert done.returncode == 1
    assert f"DXSTREAM_{name}" in done.stderr
    assert "Traceback" not in done.stderr


def test_http_off_loopback_needs_a_token(tmp_path):
    done = run("up", home=tmp_path / "home", DXSTREAM_BIND="127.0.0.2", DXSTREAM_DEVICES="cpu:1")
    assert done.returncode == 1
    assert "DXSTREAM_HTTP_TOKEN" in done.stderr


def test_no_embedded_redis_to_join_is_said(tmp_path):
    done = run("keeper", home=tmp_path)
    assert done.returncode == 1
    assert "DXSTREAM_REDIS_URL" in done.stderr


# Beside a running up ------------------------------------------------------------------------------------------------


def test_a_second_up_in_a_home_says_that_it_is_in_use(up: Up):
    done = run("up", home=up.home)
    assert done.returncode == 1
    assert str(up.home) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_demo_in_a_home_that_is_in_use_says_so(up: Up):
    done = run("demo", "--events", "3", home=up.home)
    assert done.returncode == 1
    assert str(up.home) in done.stderr


def test_status_names_the_worker_that_lives(up: Up):
    workers = one_document(run("status", "--json", home=up.home))["workers"]
    assert [(one["name"], one["device"], one["alive"]) for one in workers] == [("cpu-0", "cpu", True)]
    assert workers[0]["pid"] == up.children()["worker cpu-0"]


@pytest.mark.parametrize(("role", "arguments"), [("keeper", ()), ("worker", ("--name", "cpu-0"))])
def test_a_role_that_gets_on_is_healthy(up: Up, role, arguments):
    at = up.addresses
    done = run("healthy", role, *arguments, home=up.home, DXSTREAM_METRICS_PORT=str(at["metrics"]))
    assert done.returncode == 0, done.stderr


def test_standard_output_of_up_holds_the_addresses_and_no_log(up: Up):
    for name in ("dicom", "mllp", "http", "metrics"):
        assert f":{up.addresses[name]}" in up.log_text()


def test_an_intake_that_took_any_free_ports_keeps_them_when_it_is_replaced(up: Up):
    before = repr(up.ports)
    up.replaced("intake", up.kill("intake"))
    until(up.all_ready, "everything is ready again")
    assert repr(up.ports) == before
