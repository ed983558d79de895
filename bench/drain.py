"""Events per second through the whole system from a full queue, beside the bare loop, interleaved in one run.

``python bench/drain.py [--rounds 3] [--scans 400] [--labs 4000] [--notes 1000] [--out build/bench.json]``
"""

import argparse
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from inputs import FACTS, make_inputs

from db.accept import accept
from db.tables import events
from dxstream.show import print_table
from dxstream.up import Installation
from stream.arrival import Arrival, JudgeNow
from stream.content import ContentStore
from stream.ring import Bell
from stream.settings import Settings
from stream.window import Window

PROCESSES = 2
HERE = Path(__file__).parent


def main() -> None:
    """Rounds of limit and system in turn; medians at the end."""
    options = arguments()
    place = Path(tempfile.mkdtemp(prefix="dx-bench-"))
    settings = replace(
        Settings.from_environment({}, home=place / "home"),
        dicom_port=0, mllp_port=0, http_port=0, metrics_port=0, devices=f"cpu:{PROCESSES}",
    )  # fmt: skip
    installation = Installation(settings, quiet=True)
    measured: dict[tuple[str, str], list[dict[str, float]]] = {}
    try:
        installation.start()
        for kind, number in (("scan", options.scans), ("lab", options.labs), ("note", options.notes)):
            contents = [one.content for one in make_inputs(kind, min(number, 200))]
            contents = (contents * (number // len(contents) + 1))[:number]
            for round_ in range(options.rounds):
                measured.setdefault((kind, "limit"), []).append(run_limit(kind, contents, place / f"{kind}{round_}"))
                measured.setdefault((kind, "dxstream"), []).append(run_system(kind, contents, installation, f"{kind}{round_}"))
    finally:
        installation.stop()
        shutil.rmtree(place)
    report(measured, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rounds", 3), ("scans", 400), ("labs", 4000), ("notes", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    return parser.parse_args()


def run_limit(kind: str, contents: list[bytes], folder: Path) -> dict[str, float]:
    """The bare loop in as many processes as the system has workers."""
    folder.mkdir()
    for number, content in enumerate(contents):
        (folder / f"{number:06}").write_bytes(content)
    database = folder.with_suffix(".sqlite")
    with sqlite3.connect(database) as rows:
        rows.execute("CREATE TABLE predictions(id INTEGER PRIMARY KEY, input, model, digest, outcome, created)")
        rows.execute("CREATE TABLE findings(prediction_id, label, probability, threshold, positive)")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    loops = [
        subprocess.Popen(
            [sys.executable, HERE / "limit.py", kind, folder, database, str(part), str(PROCESSES)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for part in range(PROCESSES)
    ]  # fmt: skip
    for loop in loops:
        assert loop.stdout.readline() == "ready\n"
    for loop in loops:
        loop.stdin.write("\n")
        loop.stdin.flush()
    told = [json.loads(loop.communicate()[0]) for loop in loops]
    seconds = max(one["ended"] for one in told) - min(one["began"] for one in told)
    shutil.rmtree(folder)
    return {"events_per_s": len(contents) / seconds}


def run_system(kind: str, contents: list[bytes], installation: Installation, name: str) -> dict[str, float]:
    """Fill the ledger in one commit, ring once, and wait until all is done; CPU of all our processes is read from /proc."""
    store = ContentStore(installation.settings.home / "content")
    arrivals = [
        Arrival(
            feed="bench",
            identity=f"{name}:{number}",
            sender_id=f"{name}:{number}",
            content=store.put(content),
            asks=(JudgeNow(case_key=f"image:{name}:{number}", modality=kind, facts=FACTS[kind]),),
        )
        for number, content in enumerate(contents)
    ]
    before = cpu_seconds(installation)
    with installation.database.write() as (connection, now):
        rings = accept(connection, now, arrivals, slot="bench", window=Window()).rings
    began = time.monotonic()
    for queue, ids in rings.items():
        Bell(installation.settings.redis_url).ring(queue, ids)
    left = sa.select(sa.func.count()).select_from(events).where(events.c.state.in_(("waiting", "leased")))
    while True:
        with installation.database.read() as connection:
            if not connection.execute(left).scalar_one():
                break
        time.sleep(0.01)
    seconds = time.monotonic() - began
    spent = cpu_seconds(installation) - before
    return {"events_per_s": len(contents) / seconds, "cpu_ms_per_event": 1000 * spent / len(contents)}


def cpu_seconds(installation: Installation) -> float:
    """User and system seconds of the installation's processes so far."""
    ticks = 0
    for child in installation.children:
        fields = Path(f"/proc/{child.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def report(measured: dict[tuple[str, str], list[dict[str, float]]], options: argparse.Namespace) -> None:
    """Medians with the spread, the ratio round by round, as a table and as JSON."""
    drain, rows = [], []
    for kind in ("scan", "lab", "note"):
        limit = [one["events_per_s"] for one in measured[kind, "limit"]]
        for design in ("limit", "dxstream"):
            speeds = [one["events_per_s"] for one in measured[kind, design]]
            ratios = [speed / other for speed, other in zip(speeds, limit, strict=True)]
            cpu = [one["cpu_ms_per_event"] for one in measured[kind, design] if "cpu_ms_per_event" in one]
            entry = {"work": kind, "database": "sqlite", "design": design, "events_per_s": round(statistics.median(speeds), 1)}
            entry |= {"cpu_ms_per_event": round(statistics.median(cpu), 3) if cpu else None}
            entry |= {"ratio_to_limit": round(statistics.median(ratios), 3), "ratios": [round(one, 3) for one in ratios]}
            drain.append(entry)
            rows.append((kind, design, entry["events_per_s"], f"{min(speeds):.0f} to {max(speeds):.0f}",
                         entry["cpu_ms_per_event"], entry["ratio_to_limit"]))  # fmt: skip
    columns = ("work", "design", "events/s", "spread", "CPU ms/event", "of the limit")
    print_table(f"drain of a full queue, SQLite, {PROCESSES} processes", columns, rows)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    document = {"commit": commit, "processor": processor(), "rounds": options.rounds, "drain": drain}
    options.out.write_text(json.dumps(document, indent=1) + "\n")


def processor() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
