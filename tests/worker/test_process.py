"""What ends a worker's process."""

import subprocess
import sys

import pytest

from worker.heartbeat import EXIT_LEASE_LOST, EXIT_UNEXPECTED


@pytest.mark.parametrize(("error", "code"), [("Fatal('the device is lost')", EXIT_LEASE_LOST), ("KeyError('x')", EXIT_UNEXPECTED)])
def test_whatever_goes_wrong_while_judging_ends_the_process_so_that_no_lease_is_held_for_ever(error: str, code: int):
    program = (
        "from stream.errors import Fatal\nfrom worker.process import _hear\n"
        f"class Broken:\n    def run(self):\n        raise {error}\n"
        "_hear(Broken())"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, capture_output=True).returncode == code
