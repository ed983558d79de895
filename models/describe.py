"""Windows of results → what a clinician would read off each analyte's curve, for the trees and the autoencoder. NumPy only."""

import numpy as np
from numpy.typing import NDArray

from models.window import Hourly

#: Numbers an analyte: first, last, least, greatest, mean, spread, slope, the means of four quarters, how often, how long ago.
DESCRIBED = 13
#: The last of them that are known of an analyte without a value: log(1 + hours measured) 0, hours since then over all 1.
UNMEASURED = (0.0, 1.0)
#: Which of them the autoencoder is given: mean, last, least, greatest, how often.
_SUMMARISED = (4, 1, 2, 3, 11)
SUMMARY = len(_SUMMARISED)


def describe(window: Hourly) -> NDArray[np.float32]:
    """(windows, analytes, DESCRIBED), standardised as the window's values are; NaN where there is nothing to tell."""
    number, width, hours = window.mask.shape
    cell = np.flatnonzero(window.mask)  # by window, then analyte, then hour
    curve, hour = np.divmod(cell, hours)
    begin = np.flatnonzero(np.diff(curve, prepend=-1))  # the first value of each curve that has one
    count, there = np.diff(begin, append=len(cell)), curve[begin]
    value = window.values.reshape(-1)[cell].astype(np.float64)
    ago = (hours - 1 - hour[begin + count - 1]) / hours
    rows = [*_course(value, hour, begin, count), *_quarters(window)[:, there], np.log1p(count), ago]
    out = np.full((number * width, DESCRIBED), np.nan, np.float32)
    out[:, -len(UNMEASURED) :] = UNMEASURED
    out[there] = np.stack(rows, axis=1)
    return out.reshape(number, width, DESCRIBED)


def _course(
    value: NDArray[np.float64], hour: NDArray[np.intp], begin: NDArray[np.intp], count: NDArray[np.intp]
) -> list[NDArray[np.float64]]:
    """First, last, least, greatest, mean, spread and slope of curves whose ``count`` values begin at ``begin``."""
    mean = np.add.reduceat(value, begin) / count
    away = value - np.repeat(mean, count)
    later = hour - np.repeat(np.add.reduceat(hour, begin) / count, count)  # hours after the middle of its times
    return [
        value[begin],
        value[begin + count - 1],
        np.minimum.reduceat(value, begin),
        np.maximum.reduceat(value, begin),
        mean,
        np.sqrt(np.add.reduceat(away**2, begin) / count),
        np.add.reduceat(later * away, begin) / np.maximum(np.add.reduceat(later**2, begin), 1e-9) * 24,  # a day
    ]


def _quarters(window: Hourly) -> NDArray[np.float64]:
    """(4, windows * analytes): the mean of each quarter of the hours, NaN where nothing was measured in it."""
    begins = np.arange(4) * window.mask.shape[-1] // 4
    count = np.add.reduceat(window.mask, begins, axis=-1, dtype=int)
    total = np.add.reduceat(window.values, begins, axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(-1, 4).T


def summary(described: NDArray[np.float32]) -> NDArray[np.float32]:
    """(windows, SUMMARY * analytes): 0 for an analyte that was never measured."""
    return np.nan_to_num(described[:, :, _SUMMARISED]).swapaxes(1, 2).reshape(len(described), -1)


def without(described: NDArray[np.float32], gone: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(analytes, DESCRIBED) of one window with the ``gone`` (analytes,) never measured."""
    out = described.copy()
    out[gone] = np.nan
    out[gone, -len(UNMEASURED) :] = UNMEASURED
    return out
