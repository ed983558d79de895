"""What glibc does with the memory of a process (mallopt(3), malloc.h); another C library is left as it is."""

import ctypes
import os

#: M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD, in bytes.
KEPT = {-1: 2**28, -2: 2**26, -3: 2**26}
#: M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, each unless the environment has it.
RETURNED = {"MALLOC_ARENA_MAX": (-8, 2), "MALLOC_MMAP_THRESHOLD_": (-3, 2**18), "MALLOC_TRIM_THRESHOLD_": (-1, 2**21)}


def keep_memory() -> None:
    """What a batch has freed stays with the process: else each batch is given fresh pages, which the kernel must clear."""
    _set(KEPT)


def return_memory() -> None:
    """For many threads with large buffers, which come and go.

    An arena for each thread would hold on to what each once needed; and in one that threads share what is small and stays comes
    to lie between the large, so that it grows for hours. So the arenas are few, and what is large is mapped by itself.
    """
    _set(dict(parameter for name, parameter in RETURNED.items() if name not in os.environ))


def _set(parameters: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, value in parameters.items():
            mallopt(parameter, value)
