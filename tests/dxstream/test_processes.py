"""Supervised children."""

import sys
import time

from dxstream.processes import Child

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_child_that_died_is_told_of_once_and_started_again():
    deaths: list[int] = []
    child = Child(name="x", command=SLEEP, died=lambda: deaths.append(1))
    child.start()
    first = child.process
    first.kill()
    first.wait()
    second = _watch_until_started(child, first)
    assert second.poll() is None
    assert deaths == [1]
    second.kill()
    second.wait()
    third = _watch_until_started(child, second)
    assert deaths == [1, 1]
    third.kill()
    third.wait()


def _watch_until_started(child: Child, before):
    end = time.monotonic() + 20
    while child.process in (before, None) and time.monotonic() < end:
        child.watch()
        time.sleep(0.01)
    return child.process


def test_a_child_that_does_not_end_within_its_grace_is_killed(tmp_path):
    stubborn = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)"]
    deaf = tmp_path / "log"  # it says so once it does not hear SIGTERM any more
    child = Child(name="x", command=stubborn, grace_seconds=0.2, log_file=deaf)
    child.start()
    end = time.monotonic() + 20
    while not deaf.stat().st_size and time.monotonic() < end:
        time.sleep(0.01)
    child.ask_to_stop()
    child.wait()
    assert child.process.returncode == -9
