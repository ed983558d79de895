"""A worker keeps the memory that its batches have freed."""

import platform
import subprocess
import sys

import pytest

#: A batch of 192 MiB comes and goes, then once more; told are the pages that the second one was given.
PROGRAM = """
import resource, sys
import numpy as np
from worker.memory import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def batch():
    return len([np.ones(24 * 2**20, np.uint8) for _ in range(8)])
batch()
before = faults()
batch()
print(faults() - before)
"""


def fresh_pages(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these parameters")
def test_a_second_batch_is_given_the_memory_of_the_first():
    assert fresh_pages("keep") < fresh_pages("leave") / 10
