"""The Celery side of a worker, in a process of its own, on a real Redis."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from stream.ring import Bell

#: Hears its queues; each ring is written down, and keeps it busy until it may go on.
PROGRAM = """
import pathlib, sys, time
from worker.app import consume, worker_app
url, place, *queues = sys.argv[1:]
def hear():
    with open(f"{place}/heard", "a") as file:
        file.write("x")
    while not pathlib.Path(place, "go").exists():
        time.sleep(0.02)
consume(worker_app(url, queues, hear), "w")
"""
QUEUES = ["scan.stat", "scan.routine", "scan.backlog", "note.routine"]


def wait_for(file: Path, size: int) -> None:
    end = time.monotonic() + 30
    while not file.exists() or file.stat().st_size < size:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_busy_worker_leaves_every_other_ring_to_the_others(redis_url: str, tmp_path: Path):
    bell, heard = Bell(redis_url), tmp_path / "heard"
    worker = subprocess.Popen([sys.executable, "-c", PROGRAM, redis_url, tmp_path, *QUEUES], stderr=subprocess.DEVNULL)
    try:
        bell.ring(QUEUES[0], [])
        wait_for(heard, 1)
        for name in QUEUES[1:]:
            bell.ring(name, [])
        time.sleep(1)  # long enough to fetch one ahead
        assert [bell.unheard(name) for name in QUEUES] == [0, 1, 1, 1]
        (tmp_path / "go").touch()
        wait_for(heard, len(QUEUES))
    finally:
        (tmp_path / "go").touch()
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
