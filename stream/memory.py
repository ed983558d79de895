"""What glibc does with the memory of a process (mallopt(3), malloc.h); another C library is left as it is."""

import ctypes
import os

#: M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD, in bytes.
KEPT = {-1: 2**28, -2: 2**26, -3: 2**26}
#: M_ARENA_MAX.
FEW = {-8: 2}


def keep_memory() -> None:
    """What a batch has freed stays with the process: else each batch is given fresh pages, which the kernel must clear."""
    _set(KEPT)


def share_arenas() -> None:
    """Many threads with large buffers: an arena for each would hold on to what each once needed. MALLOC_ARENA_MAX goes before."""
    if "MALLOC_ARENA_MAX" not in os.environ:
        _set(FEW)


def _set(parameters: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, value in parameters.items():
            mallopt(parameter, value)
