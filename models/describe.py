"""A window of results → what a clinician would read off each analyte's curve, for the trees. NumPy only."""

import numpy as np
from numpy.typing import NDArray

from models.window import Hourly

#: Numbers an analyte: first, last, least, greatest, mean, spread, slope, the means of four quarters, how often, how long ago.
DESCRIBED = 13
#: The last of them that are known of an analyte without a value: log(1 + hours measured) 0, hours since then over all 1.
UNMEASURED = (0.0, 1.0)


def describe(window: Hourly) -> NDArray[np.float32]:
    """(analytes, DESCRIBED), standardised as the window's values are; NaN where there is nothing to tell."""
    mask, values = window.mask, window.values
    hours, width = mask.shape
    step, column = np.arange(hours)[:, None], np.arange(width)
    count = mask.sum(axis=0)
    there, divisor = count > 0, np.maximum(count, 1)
    first, last = mask.argmax(axis=0), hours - 1 - mask[::-1].argmax(axis=0)
    mean = values.sum(axis=0) / divisor
    away = np.where(mask, values - mean, 0.0)
    later = np.where(mask, step - (step * mask).sum(axis=0) / divisor, 0.0)  # hours after the middle of its times
    slope = (later * away).sum(axis=0) / np.maximum((later**2).sum(axis=0), 1e-9) * 24  # a day
    quarters = np.add.reduceat(values, np.arange(4) * hours // 4), np.add.reduceat(mask, np.arange(4) * hours // 4, dtype=int)
    rows = [
        values[first, column],
        values[last, column],
        np.where(mask, values, np.inf).min(axis=0),
        np.where(mask, values, -np.inf).max(axis=0),
        mean,
        np.sqrt((away**2).sum(axis=0) / divisor),
        slope,
        *np.where(quarters[1] > 0, quarters[0] / np.maximum(quarters[1], 1), np.nan),
    ]
    known = [np.where(there, row, np.nan) for row in rows]
    ago = np.where(there, (hours - 1 - last) / hours, UNMEASURED[1])
    return np.stack([*known, np.log1p(count), ago], axis=1).astype(np.float32)


def without(described: NDArray[np.float32], gone: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The same with the ``gone`` (analytes,) never measured."""
    out = described.copy()
    out[gone] = np.nan
    out[gone, -len(UNMEASURED) :] = UNMEASURED
    return out
