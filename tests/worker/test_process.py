"""What ends a worker's process."""

import subprocess
import sys

import pytest
import redis

from stream.ring import Bell
from worker.heartbeat import EXIT_LEASE_LOST, EXIT_UNEXPECTED
from worker.process import _hear


@pytest.mark.parametrize(("error", "code"), [("Fatal('the device is lost')", EXIT_LEASE_LOST), ("KeyError('x')", EXIT_UNEXPECTED)])
def test_whatever_goes_wrong_while_judging_ends_the_process_so_that_no_lease_is_held_for_ever(error: str, code: int):
    program = (
        "from stream.errors import Fatal\nfrom worker.process import _hear\n"
        f"class Broken:\n    def run(self):\n        raise {error}\n"
        "_hear(Broken())"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == code


class Rung:
    """What is rung for while it judges for the first time."""

    queues = ("scan.stat", "scan.routine")

    def __init__(self, bell: Bell) -> None:
        self.bell, self.runs = bell, 0

    def run(self) -> None:
        if not self.runs:
            self.bell.ring("scan.routine", [1])
        self.runs += 1

    def stopping(self) -> bool:
        return False


def test_a_worker_that_has_just_judged_hears_the_next_ring_itself(redis_url: str):
    redis.Redis.from_url(redis_url).flushall()
    bell = Bell(redis_url)
    worker = Rung(bell)
    _hear(worker)  # type: ignore[arg-type]
    assert (worker.runs, bell.unheard("scan.routine")) == (2, 0)


def test_a_worker_that_was_asked_to_stop_leaves_the_next_ring_to_others(redis_url: str):
    redis.Redis.from_url(redis_url).flushall()
    bell = Bell(redis_url)
    worker = Rung(bell)
    worker.stopping = lambda: True  # type: ignore[method-assign]
    _hear(worker)  # type: ignore[arg-type]
    assert (worker.runs, bell.unheard("scan.routine")) == (1, 1)
    assert bell.hear(worker.queues, 0.5)
