"""Windows of results → hourly steps: values, masks, time gaps. NumPy only.

What one window can be refused by is made alone (``place``), its steps with those of the whole batch (``hourly``): a call of
NumPy costs a microsecond however little it works on. Several values of an analyte in one hour become their mean: decided here,
once, for training and serving alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.card import AnalyteInput


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How the analytes of a card become numbers around 0; each array is (analytes,).

    ``codes``: every LOINC code, sorted; ``place``: the analyte of each.
    """

    codes: NDArray[np.bytes_]
    place: NDArray[np.intp]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    log: NDArray[np.bool_]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, analytes: Sequence[AnalyteInput]) -> "Scale":
        """The scale of a card's analytes."""
        place = {code.encode(): place for place, one in enumerate(analytes) for code in one.codes}
        return cls(
            codes=np.array(sorted(place), np.bytes_),
            place=np.array([place[code] for code in sorted(place)], np.intp),
            low=np.array([one.plausible[0] for one in analytes]),
            high=np.array([one.plausible[1] for one in analytes]),
            log=np.array([one.log for one in analytes], bool),
            mean=np.array([one.mean for one in analytes]),
            std=np.array([one.std for one in analytes]),
        )

    def columns(self, codes: NDArray[np.bytes_]) -> NDArray[np.intp]:
        """(points,) place of each code among the analytes, -1 where it is none of them."""
        at = np.searchsorted(self.codes, codes)
        return np.where(self.codes.take(at, mode="clip") == codes, self.place.take(at, mode="clip"), -1)

    def level(self, values: NDArray[np.float64], column: NDArray[np.intp]) -> NDArray[np.float64]:
        """(points,) clipped to what is plausible, on the log scale where it is skewed, standardised."""
        level = np.clip(values, self.low[column], self.high[column])
        np.log(level, where=self.log[column], out=level)
        return (level - self.mean[column]) / self.std[column]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The points of one window that count. ``cell``: (points,) analyte * hours + hour; ``value``: (points,) as it was sent.

    Left out are ``outside`` (before minute 0, after the last hour, no number) and ``unknown``, of no analyte of the card.
    """

    cell: NDArray[np.intp]
    value: NDArray[np.float32]
    implausible: int
    unknown: int
    outside: int


@dataclass(frozen=True, kw_only=True)
class Hourly:
    """``values``: (windows, analytes, hours) standardised, 0 where ``mask`` is false; ``mask``: measured in that hour."""

    values: NDArray[np.float32]
    mask: NDArray[np.bool_]


def place(points: NDArray[np.void], scale: Scale, hours: int) -> Placed:
    """Where the points of one window belong. Points before minute 0 or from ``hours`` * 60 on are left out."""
    minute, value, column = points["minute"], points["value"], scale.columns(points["code"])
    inside = (minute >= 0) & (minute < hours * 60) & np.isfinite(value)
    kept = inside & (column >= 0)
    column, value, within = column[kept], value[kept], int(inside.sum())
    return Placed(
        cell=column * hours + minute[kept].astype(np.intp) // 60,
        value=value,
        implausible=int(((value < scale.low[column]) | (value > scale.high[column])).sum()),
        unknown=within - len(column),
        outside=len(points) - within,
    )


def hourly(cells: Sequence[NDArray[np.intp]], values: Sequence[NDArray[np.float32]], scale: Scale, hours: int) -> Hourly:
    """The mean of each analyte in each hour, of the points of each window as ``place`` gives them."""
    shape = len(cells), len(scale.mean), hours
    within, window = np.concatenate(cells), np.repeat(np.arange(len(cells)), [len(one) for one in cells])
    level = scale.level(np.concatenate(values).astype(np.float64), within // hours)
    cell, size = window * shape[1] * hours + within, np.prod(shape)
    count, total = np.bincount(cell, minlength=size), np.bincount(cell, weights=level, minlength=size)
    return Hourly(values=(total / np.maximum(count, 1)).astype(np.float32).reshape(shape), mask=(count > 0).reshape(shape))


def series(window: Hourly) -> NDArray[np.float32]:
    """(windows, hours, 3 * analytes): the last value known, whether measured in that hour, hours since then over all hours."""
    number, width, hours = window.mask.shape
    begins = window.mask.copy()
    begins[:, :, 0] = True
    at = np.flatnonzero(begins)  # cells from which on a value holds, or none is known
    lasts = np.diff(at, append=begins.size)
    known = np.repeat(window.mask.reshape(-1)[at], lasts)
    gap = np.where(known, np.arange(begins.size) - np.repeat(at, lasts), hours) / hours
    out = np.empty((number, hours, 3, width), np.float32)
    for place, one in enumerate((np.repeat(window.values.reshape(-1)[at], lasts), window.mask, gap)):
        out[:, :, place] = one.reshape(window.mask.shape).swapaxes(1, 2)
    return out.reshape(number, hours, 3 * width)
