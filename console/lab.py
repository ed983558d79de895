"""A window of results as small multiples: a drawing an analyte, its reference range behind it, its attribution beside it."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from console.chart import short
from stream.labs import Analytes
from stream.points import FLAG_ABOVE, FLAG_BELOW, decode_points

HERE = Path(__file__).parent
RANGES = "reference_ranges.csv"

#: The drawing's own units.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 260, 84, 4, 4, 6, 14

Range = tuple[float | None, float | None]


@cache
def reference_ranges(folder: Path) -> Mapping[str, Range]:
    """Analyte → (low, high) of the shipped table; rows of the installation's own, in its configuration, replace them."""
    found: dict[str, Range] = {}
    for path in (HERE / RANGES, folder / RANGES):
        if path.exists():
            with path.open(encoding="utf-8", newline="") as file:
                found.update((row["analyte"], (_number(row["low"]), _number(row["high"]))) for row in csv.DictReader(file))
    return found


def _number(text: str) -> float | None:
    return float(text) if text.strip() else None


@dataclass(frozen=True, kw_only=True)
class Leaned:
    """What the model leaned on: weight by analyte, by hour, by fact, and by analyte in each stretch of hours."""

    analytes: Mapping[str, float]
    hours: Sequence[float]
    facts: Mapping[str, float]
    matrix: Mapping[str, Sequence[float]]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Leaned":
        """From an explanation's JSON; what it leaves out is empty."""
        names = {name: told.get(name) or {} for name in ("analytes", "facts", "matrix")}
        return cls(**names, hours=told.get("hours") or [])

    def share(self, analyte: str) -> float:
        """Of the weightiest analyte's weight."""
        most = max(map(abs, self.analytes.values()), default=0.0)
        return abs(self.analytes.get(analyte, 0.0)) / most if most else 0.0

    def hour_bars(self) -> list[dict[str, Any]]:
        """Each hour's share of the weightiest hour's, and which way it spoke."""
        return _bars(self.hours, max(map(abs, self.hours), default=0.0))

    def stretches(self, analyte: str) -> list[dict[str, Any]]:
        """The same for the stretches of one analyte, as shares of the weightiest cell of all."""
        most = max((abs(one) for row in self.matrix.values() for one in row), default=0.0)
        return _bars(self.matrix.get(analyte, []), most)


def _bars(weights: Sequence[float], most: float) -> list[dict[str, Any]]:
    if not most:
        return []
    return [
        {"place": place, "share": abs(one) / most, "way": "towards" if one > 0 else "against"} for place, one in enumerate(weights)
    ]


def small_multiples(
    content: bytes, analytes: Analytes, ranges: Mapping[str, Range], *, hours: float, leaned: Leaned
) -> list[dict[str, Any]]:
    """One entry an analyte that has results, those first that the model leaned on most."""
    points = decode_points(content)
    points = points[np.isfinite(points["value"])]
    last = max(hours * 60, float(points["minute"].max()) if len(points) else 0.0, 60.0)
    shown = []
    for code in np.unique(points["code"]):
        own = points[points["code"] == code]
        row = analytes.by_code.get(code.decode())
        name = row.analyte if row else code.decode()
        bounds = ranges.get(name, (None, None))
        shown.append(
            {
                "analyte": name,
                "name": row.name if row else name,
                "code": code.decode(),
                "unit": row.unit if row else "",
                "n": len(own),
                "last": short(float(own["value"][-1])),
                "low": short(float(own["value"].min())),
                "high": short(float(own["value"].max())),
                "range": _range_words(bounds),
                "outside": int(sum(_outside(float(value), bounds) for value in own["value"])),
                "leaned": leaned.analytes.get(name),
                "share": leaned.share(name),
                "stretches": leaned.stretches(name),
                "svg": _drawing(own, bounds, last, row.name if row else name),
            }
        )
    return sorted(shown, key=lambda one: (-one["share"], one["name"].lower()))


def _outside(value: float, bounds: Range) -> bool:
    low, high = bounds
    return (low is not None and value < low) or (high is not None and value > high)


def _range_words(bounds: Range) -> str:
    low, high = bounds
    if low is not None and high is not None:
        return f"{low:g} to {high:g}" if low < high else f"{low:g}"
    if high is not None:
        return f"up to {high:g}"
    return f"from {low:g}" if low is not None else ""


@dataclass(frozen=True, kw_only=True)
class _Sheet:
    """Where a minute and a value stand in one drawing."""

    last: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], bounds: Range, last: float) -> "_Sheet":
        """Room for every value and for the reference range."""
        ends = [*values, *[end for end in bounds if end is not None]]
        room = (max(ends) - min(ends)) * 0.08 or 1.0
        return cls(last=last, low=min(ends) - room, high=max(ends) + room)

    def x(self, minute: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * max(minute, 0.0) / self.last

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - self.low) / (self.high - self.low))


def _drawing(own: Any, bounds: Range, last: float, name: str) -> Markup:
    values = [float(one) for one in own["value"]]
    sheet = _Sheet.of(values, bounds, last)
    places = [(sheet.x(float(one["minute"])), sheet.y(float(one["value"]))) for one in own]
    told = f"{name}: {len(values)} results, from {min(values):g} to {max(values):g}, last {values[-1]:g}"
    path = "".join(f"{'L' if place else 'M'}{x:.1f} {y:.1f}" for place, (x, y) in enumerate(places))
    parts = [
        f'<svg class="multiple" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(told)}">',
        _band(sheet, bounds),
        f'<line class="grid" x1="{LEFT}" y1="{HEIGHT - BOTTOM}" x2="{WIDTH - RIGHT}" y2="{HEIGHT - BOTTOM}"/>',
        f'<path class="curve lab" d="{path}"/>',
        *[_dot(one, x, y, bounds) for one, (x, y) in zip(own, places, strict=True)],
        *[_hour(hour, sheet.x(hour * 60)) for hour in _hours(last)],
    ]
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - numbers, and a text that was escaped


def _band(sheet: _Sheet, bounds: Range) -> str:
    """The reference range behind the curve."""
    if bounds == (None, None):
        return ""
    top = sheet.y(bounds[1]) if bounds[1] is not None else TOP
    bottom = sheet.y(bounds[0]) if bounds[0] is not None else HEIGHT - BOTTOM
    return f'<rect class="range" x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - RIGHT}" height="{max(bottom - top, 1.5):.1f}"/>'


def _dot(one: Any, x: float, y: float, bounds: Range) -> str:
    bound = " bound" if int(one["flags"]) & (FLAG_BELOW | FLAG_ABOVE) else ""
    outside = " outside" if _outside(float(one["value"]), bounds) else ""
    return f'<circle class="dot{bound}{outside}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>'


def _hours(last: float) -> Sequence[int]:
    hours = int(last // 60)
    return range(0, hours + 1, 12 if hours <= 72 else 24 * (1 + hours // 240))


def _hour(hour: int, x: float) -> str:
    anchor = "start" if hour == 0 else "end" if x > WIDTH - 20 else "middle"
    return f'<text class="scale" x="{x:.1f}" y="{HEIGHT - 3}" text-anchor="{anchor}">{hour} h</text>'
