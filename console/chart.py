"""Line charts as SVG: marks and numbers only, colours and sizes are the style sheet's. Knows nothing of the ledger."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

#: The drawing's own units; the page scales it.
WIDTH, HEIGHT = 420, 150
LEFT, RIGHT, TOP, BOTTOM = 40, 8, 8, 20


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve; ``None`` breaks it. ``name`` becomes its class, so that the style sheet colours it."""

    name: str
    values: Sequence[float | None]


def nice_top(greatest: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not below ``greatest``."""
    if greatest <= 0 or not math.isfinite(greatest):
        return 1.0
    power = 10.0 ** math.floor(math.log10(greatest))
    return next((step * power for step in (1, 2, 5, 10) if greatest <= step * power * 1.0001), 10 * power)


def short(value: float | None) -> str:
    """A number in a few characters."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return f"{value / 1000:.0f}k"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def line_chart(lines: Sequence[Line], times: Sequence[datetime], *, title: str, unit: str) -> Markup:
    """An SVG picture with a scale, two times and the curves; what it shows last is also its text for who cannot see it."""
    known = [value for line in lines for value in line.values if value is not None]
    top = nice_top(max(known, default=0.0))
    told = ", ".join(f"{line.name} {short(_last(line.values))} {unit}" for line in lines)
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}: {told}")}">']
    parts += [_grid(top, share) for share in (0.0, 0.5, 1.0)]
    parts += _clock(times)
    parts += [_curve(line, times, top) for line in lines]
    return Markup("".join([*parts, "</svg>"]))  # noqa: S704 - numbers, and texts that were escaped


def _last(values: Sequence[float | None]) -> float | None:
    return values[-1] if values else None


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(value / top, 1.0))


def _grid(top: float, share: float) -> str:
    y = _y(top * share, top)
    rule = f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
    return f'{rule}<text class="scale" x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{short(top * share)}</text>'


def _clock(times: Sequence[datetime]) -> list[str]:
    if not times:
        return [f'<text class="scale" x="{WIDTH // 2}" y="{HEIGHT // 2}" text-anchor="middle">nothing measured yet</text>']
    ends = ((LEFT, "start", times[0]), (WIDTH - RIGHT, "end", times[-1]))
    return [f'<text class="scale" x="{x}" y="{HEIGHT - 5}" text-anchor="{anchor}">{at:%H:%M:%S}</text>' for x, anchor, at in ends]


def _curve(line: Line, times: Sequence[datetime], top: float) -> str:
    if len(times) < 2:
        return ""
    begin, span = times[0], max((times[-1] - times[0]).total_seconds(), 1e-9)
    path, pen = [], "M"
    for at, value in zip(times, line.values, strict=True):
        if value is None:
            pen = "M"
            continue
        x = LEFT + (WIDTH - LEFT - RIGHT) * (at - begin).total_seconds() / span
        path.append(f"{pen}{x:.1f} {_y(value, top):.1f}")
        pen = "L"
    return f'<path class="curve {escape(line.name)}" d="{"".join(path)}"/>' if path else ""
