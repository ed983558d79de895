"""A window of results → hourly steps: values, masks, time gaps, and a summary for the autoencoder. NumPy only.

Several values of an analyte in one hour become their mean: decided here, once, for training and serving alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.card import AnalyteInput

#: Numbers that the summary holds for each analyte: mean, last, least, greatest, log(1 + hours measured).
SUMMARY = 5


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How the analytes of a card become numbers around 0; each array is (analytes,), ``column`` is LOINC → place."""

    column: dict[bytes, int]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    log: NDArray[np.bool_]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, analytes: Sequence[AnalyteInput]) -> "Scale":
        """The scale of a card's analytes."""
        return cls(
            column={code.encode(): place for place, one in enumerate(analytes) for code in one.codes},
            low=np.array([one.plausible[0] for one in analytes]),
            high=np.array([one.plausible[1] for one in analytes]),
            log=np.array([one.log for one in analytes], bool),
            mean=np.array([one.mean for one in analytes]),
            std=np.array([one.std for one in analytes]),
        )

    def columns(self, codes: NDArray[np.bytes_]) -> NDArray[np.intp]:
        """(points,) place of each code among the analytes, -1 where it is none of them."""
        different, which = np.unique(codes, return_inverse=True)
        places = np.array([self.column.get(bytes(code), -1) for code in different], np.intp)
        return places[which] if len(different) else np.empty(0, np.intp)

    def level(self, values: NDArray[np.float64], column: NDArray[np.intp]) -> NDArray[np.float64]:
        """(points,) clipped to what is plausible, on the log scale where it is skewed; not yet standardised."""
        clipped = np.clip(values, self.low[column], self.high[column])
        log = self.log[column]
        return np.where(log, np.log(np.where(log, clipped, 1.0)), clipped)


@dataclass(frozen=True, kw_only=True)
class Hourly:
    """``values``: (hours, analytes) standardised, 0 where ``mask`` is false; ``mask``: measured in that hour."""

    values: NDArray[np.float32]
    mask: NDArray[np.bool_]
    implausible: int
    unknown: int
    outside: int


def hourly(points: NDArray[np.void], scale: Scale, hours: int) -> Hourly:
    """The mean of each analyte in each hour. Points before minute 0 or from ``hours`` * 60 on are left out."""
    inside = (points["minute"] >= 0) & (points["minute"] < hours * 60) & np.isfinite(points["value"])
    within = points[inside]
    column = scale.columns(within["code"])
    known = column >= 0
    column, value = column[known], within["value"][known].astype(np.float64)
    hour = (within["minute"][known] // 60).astype(np.intp)
    level = (scale.level(value, column) - scale.mean[column]) / scale.std[column]
    width = len(scale.mean)
    cell, size = hour * width + column, hours * width
    count = np.bincount(cell, minlength=size)
    total = np.bincount(cell, weights=level, minlength=size)
    return Hourly(
        values=(total / np.maximum(count, 1)).astype(np.float32).reshape(hours, width),
        mask=(count > 0).reshape(hours, width),
        implausible=int(((value < scale.low[column]) | (value > scale.high[column])).sum()),
        unknown=int((~known).sum()),
        outside=int((~inside).sum()),
    )


def series(window: Hourly) -> NDArray[np.float32]:
    """(hours, 3 * analytes): the last value known, whether measured in that hour, hours since then over all hours."""
    hours, width = window.mask.shape
    step = np.arange(hours)[:, None]
    last = np.maximum.accumulate(np.where(window.mask, step, -1), axis=0)  # (hours, analytes), -1: never yet
    held = np.take_along_axis(window.values, np.maximum(last, 0), axis=0) * (last >= 0)
    gap = np.where(last >= 0, step - last, hours) / hours
    out = np.empty((hours, 3 * width), np.float32)
    out[:, :width], out[:, width : 2 * width], out[:, 2 * width :] = held, window.mask, gap
    return out


def summary(window: Hourly) -> NDArray[np.float32]:
    """(SUMMARY * analytes,): 0 for an analyte that was never measured."""
    mask, values = window.mask, window.values
    count = mask.sum(axis=0)
    measured = count > 0
    last = mask.shape[0] - 1 - np.argmax(mask[::-1], axis=0)
    rows: list[NDArray[Any]] = [
        values.sum(axis=0) / np.maximum(count, 1),
        values[last, np.arange(mask.shape[1])],
        np.where(mask, values, np.inf).min(axis=0, initial=1e9),
        np.where(mask, values, -np.inf).max(axis=0, initial=-1e9),
    ]
    kept = [np.where(measured, row, 0.0) for row in rows]
    return np.concatenate([*kept, np.log1p(count)]).astype(np.float32)
