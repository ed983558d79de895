"""Open-loop arrivals: moments of a Poisson process, and waiting for one."""

import time

import numpy as np


def poisson(rate: float, number: int, seed: int) -> list[float]:
    """``number`` moments in seconds, ``rate`` a second on average, whatever becomes of those before."""
    return np.random.default_rng(seed).exponential(1 / rate, number).cumsum().tolist()


def wait_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock; the kernel wakes us some 0.1 ms late."""
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)
