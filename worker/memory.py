"""What a batch has freed stays with the process: else each batch is given fresh pages, which the kernel must clear."""

import ctypes

#: glibc's parameters (mallopt(3), malloc.h) and their values in bytes: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD.
KEPT = {-1: 2**28, -2: 2**26, -3: 2**26}


def keep_memory() -> None:
    """From now on and in all threads of this process. Nothing is done where the C library has no such parameters."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, size in KEPT.items():
            mallopt(parameter, size)
