"""A worker keeps the memory that its batches have freed, and the threads of an intake share what theirs have."""

import os
import platform
import subprocess
import sys

import pytest

#: A batch of 192 MiB comes and goes, then once more; told are the pages that the second one was given.
PROGRAM = """
import resource, sys
import numpy as np
from stream.memory import keep_memory
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


#: Eight threads allocate at the same time; told are the arenas that there are then.
ARENAS = """
import ctypes, sys, threading
from stream.memory import return_memory
if sys.argv[1] == "share":
    return_memory()
all_of_them = threading.Barrier(8)
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
def allocate():
    all_of_them.wait()
    for _ in range(100):
        libc.malloc(50_000)
    all_of_them.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def arenas(how: str, **environment: str) -> int:
    command = [sys.executable, "-c", ARENAS, how]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment).stdout.count("<heap ")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these parameters")
def test_many_threads_share_two_arenas_unless_the_environment_says_otherwise():
    assert arenas("leave") > 2
    assert arenas("share") == 2
    assert arenas("share", MALLOC_ARENA_MAX="1") == 1


#: Images of half a megabyte come, and something small stays of each; told is what is held once all images have gone, in MiB.
IMAGES = """
import resource, sys
from stream.memory import return_memory
if sys.argv[1] == "return":
    return_memory()
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
before, kept = resident(), []
for _ in range(20):
    images = []
    for _ in range(20):
        images.append(bytearray(b"x") * 500_000)
        kept.append(bytearray(b"x") * 1000)
    del images
print(resident() - before)
"""


def still_held(how: str, **environment: str) -> float:
    command = [sys.executable, "-c", IMAGES, how]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these parameters")
def test_images_that_have_gone_leave_nothing_behind_whatever_small_things_stay():
    assert still_held("leave") > 5
    assert still_held("return") < 2
    assert still_held("return", MALLOC_MMAP_THRESHOLD_="1000000") > 5
