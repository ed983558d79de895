"""Curves that clinicians read off several analytes: pressures however measured, shock index, P/F ratio. NumPy only.

A curve is a formula over the names of ``labs.csv``: ``MAP|NIMAP`` is the first of them that was measured in an hour,
``PaO2 / FiO2`` a ratio (its logarithm), ``Na - HCO3`` a difference. There is a value in each hour in which the left side
was measured; of the right side the last one known counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.window import Hourly, Scale

#: Formulas that are used where their analytes are. Shock index: Allgoewer and Burri 1967; PaO2/FiO2: the Berlin definition.
KNOWN = (
    "SysABP|NISysABP",
    "MAP|NIMAP",
    "DiasABP|NIDiasABP",
    "SysABP|NISysABP - DiasABP|NIDiasABP",
    "HR / SysABP|NISysABP",
    "PaO2 / FiO2",
    "BUN / Creatinine",
    "Na - HCO3",
)
#: Below every physical value of what is divided.
_LEAST = 1e-3


@dataclass(frozen=True, kw_only=True)
class Curve:
    """``left`` and ``right``: columns of the window, the first measured one counts; ``sign``: "", "/" or "-"."""

    left: tuple[int, ...]
    sign: str = ""
    right: tuple[int, ...] = ()

    def gone(self, gone: NDArray[np.bool_]) -> bool:
        """Whether it falls away with the ``gone`` (analytes,)."""
        return bool(gone[list(self.left)].all() or (self.right and gone[list(self.right)].all()))


def possible(names: Sequence[str]) -> tuple[str, ...]:
    """The known formulas all of whose analytes are among ``names``."""
    return tuple(formula for formula in KNOWN if {one for side in _sides(formula)[::2] for one in side.split("|")} <= {*names, ""})


def parse(formulas: Sequence[str], names: Sequence[str]) -> tuple[Curve, ...]:
    """The curves over the columns ``names``; raises KeyError for a name that is none of them."""
    place = {name: number for number, name in enumerate(names)}
    sides = [_sides(formula) for formula in formulas]
    return tuple(Curve(left=_places(left, place), sign=sign, right=_places(right, place)) for left, sign, right in sides)


def _sides(formula: str) -> tuple[str, str, str]:
    left, sign, right = [*formula.split(), "", ""][:3]
    return left, sign, right


def _places(side: str, place: dict[str, int]) -> tuple[int, ...]:
    return tuple(place[name] for name in side.split("|")) if side else ()


def with_curves(window: Hourly, scale: Scale, curves: Sequence[Curve]) -> Hourly:
    """The windows with the curves as further columns, in the units that they have."""
    found = [_follow(curve, window, scale) for curve in curves]
    return Hourly(
        values=np.concatenate([window.values, *(values[:, None] for values, _ in found)], axis=1, dtype=np.float32),
        mask=np.concatenate([window.mask, *(mask[:, None] for _, mask in found)], axis=1),
    )


def _follow(curve: Curve, window: Hourly, scale: Scale) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(windows, hours) values, 0 where there is none, and (windows, hours) whether there is one."""
    values, there = _first(curve.left, window, scale)
    if curve.right:
        other, known = _held(*_first(curve.right, window, scale))
        there = there & known
        values = values - other if curve.sign == "-" else _log(values) - _log(other)
    return np.where(there, values, 0.0), there


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(values, _LEAST))


def _first(columns: Sequence[int], window: Hourly, scale: Scale) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Hour by hour the first of ``columns`` that was measured, in its own unit."""
    values, there = np.zeros(window.mask[:, 0].shape), np.zeros(window.mask[:, 0].shape, bool)
    for column in reversed(columns):
        level = window.values[:, column] * scale.std[column] + scale.mean[column]
        values = np.where(window.mask[:, column], np.exp(level) if scale.log[column] else level, values)
        there |= window.mask[:, column]
    return values, there


def _held(values: NDArray[np.float64], there: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The last value known at each hour, and whether there is one."""
    last = np.maximum.accumulate(np.where(there, np.arange(there.shape[1]), -1), axis=1)
    return np.take_along_axis(values, np.maximum(last, 0), axis=1), last >= 0
