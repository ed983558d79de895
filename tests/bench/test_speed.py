"""The short form of the speed benchmark: real processes, a real Redis, SQLite; what it writes is what others read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.skipif(not os.environ.get("DXSTREAM_TEST_BENCH"), reason="takes some minutes: DXSTREAM_TEST_BENCH=1")
def test_the_short_form_writes_every_figure_of_a_modality_and_database_that_is_asked_for(tmp_path: Path):
    out = tmp_path / "bench.json"
    options = ["--short", "--works", "note", "--databases", "sqlite", "--parts", "drain,latency", "--out", str(out)]
    subprocess.run([sys.executable, BENCH / "speed.py", *options], check=True, capture_output=True, timeout=240)
    found = json.loads(out.read_text())
    assert found["commit"]
    assert found["processor"]
    assert [(row["work"], row["database"], row["design"]) for row in found["drain"]] == [
        ("note", "sqlite", design) for design in ("limit", "dxstream", "celery")
    ]
    for row in found["drain"]:
        assert row["events_per_s"] > 0
        assert row["cpu_ms_per_event"] > 0
    assert found["drain"][0]["ratio_to_limit"] == 1
    assert {(row["design"], row["load"]) for row in found["latency"]} == {
        (design, load) for design in ("limit", "dxstream") for load in (0.05, 0.5, 0.8)
    }
    for row in found["latency"]:
        assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert "<svg" in (tmp_path / "bench-latency.svg").read_text()


@pytest.mark.skipif(not os.environ.get("DXSTREAM_TEST_BENCH"), reason="takes half a minute: DXSTREAM_TEST_BENCH=1")
def test_designs_that_are_not_asked_for_are_not_measured(tmp_path: Path):
    out = tmp_path / "bench.json"
    options = [
        "--short",
        "--works",
        "note",
        "--databases",
        "sqlite",
        "--parts",
        "drain",
        "--designs",
        "dxstream",
        "--out",
        str(out),
    ]
    subprocess.run([sys.executable, BENCH / "speed.py", *options], check=True, capture_output=True, timeout=240)
    assert [row["design"] for row in json.loads(out.read_text())["drain"]] == ["limit", "dxstream"]


def test_a_list_that_names_what_nobody_knows_is_a_usage_error():
    command = [sys.executable, BENCH / "speed.py", "--parts", "drains"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "drains: none of drain, latency, further" in done.stderr


def test_a_tree_of_processes_costs_what_its_children_cost(tmp_path: Path):
    sys.path.insert(0, str(BENCH))
    from processes import cpu_seconds

    busy = "import time\nwhile time.process_time() < 0.3: pass"
    script = tmp_path / "parent.py"
    script.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\nprint(flush=True)\ninput()")
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        assert cpu_seconds([parent.pid]) >= 0.25  # the kernel counts in steps of 10 ms
        parent.communicate(b"\n")
