"""Latency against load as a picture: a panel a modality and database."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Lines: p50, whole, and p99, dashed, of each design; milliseconds on a logarithmic axis."""
    works = list(dict.fromkeys(row["work"] for row in rows))
    databases = list(dict.fromkeys(row["database"] for row in rows))
    figure = Figure(figsize=(4 * len(works), 3.2 * len(databases)), layout="constrained")
    panels = figure.subplots(len(databases), len(works), squeeze=False, sharex=True)
    for line, database in zip(panels, databases, strict=True):
        for panel, work in zip(line, works, strict=True):
            _draw_panel(panel, [row for row in rows if row["work"] == work and row["database"] == database])
            panel.set_title(f"{work}, {database}")
    for panel in panels[-1]:
        panel.set_xlabel("load, % of the limit")
    panels[0][0].legend(fontsize=8)
    with mpl.rc_context({"svg.hashsalt": "dxstream"}):
        figure.savefig(path)


def _draw_panel(panel, rows: Sequence[Mapping[str, Any]]) -> None:
    for design, colour in (("limit", "tab:grey"), ("dxstream", "tab:blue"), ("dxstream, from bytes", "tab:green")):
        mine = [row for row in rows if row["design"] == design]
        if not mine:
            continue
        for figure, style in (("p50_ms", "o-"), ("p99_ms", "^--")):
            values = [row[figure] for row in mine]
            panel.plot([100 * row["load"] for row in mine], values, style, color=colour, label=f"{design} {figure[:3]}")
    panel.set_yscale("log")
    panel.set_ylabel("ms")
    panel.grid(visible=True, which="both", alpha=0.3)
