"""Rounds of drains, the designs in turn within each, and their table."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from design import WIDTH, Design, Drained, median
from rich.console import Console

from dxstream.show import print_table


def drain_rows(designs: Mapping[str, Design], paths: Sequence[Path], rounds: int) -> list[dict[str, Any]]:
    """A row a design: medians over the rounds; the ratio is that of each round to the limit in the same round.

    Celery, which is many times slower, gets as many files as it can judge in some seconds: rates an event compare.
    """
    found: dict[str, list[Drained]] = {name: [] for name in designs}
    for _ in range(rounds):
        for name, design in designs.items():
            found[name].append(design.drain(paths[: getattr(design, "most", len(paths))]))
    return [_row(name, drained, found["limit"]) for name, drained in found.items()]


def _row(name: str, drained: Sequence[Drained], limit: Sequence[Drained]) -> dict[str, Any]:
    ratios = [one.per_second / other.per_second for one, other in zip(drained, limit, strict=True)]
    return {
        "design": name,
        "events_per_s": round(median([one.per_second for one in drained]), 1),
        "cpu_ms_per_event": round(median([one.cpu_ms for one in drained]), 4),
        "ratio_to_limit": round(median(ratios), 4),
        "n": drained[0].number,
        "ratios": [round(one, 4) for one in ratios],
    }


def show_drain(rows: Sequence[Mapping[str, Any]]) -> None:
    """How many times faster than Celery stands beside."""
    celery = {(row["work"], row["database"]): row["events_per_s"] for row in rows if row["design"] == "celery"}
    names = ("work", "database", "design", "n", "events_per_s", "cpu_ms_per_event", "ratio_to_limit")
    table = []
    for row in rows:
        slow = celery.get((row["work"], row["database"]))
        spread = f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}"
        table.append([*[row[name] for name in names], spread, f"{row['events_per_s'] / slow:.1f}" if slow else ""])
    print_table("drain of a full queue", (*names, "spread", "times Celery"), table, console=Console(width=WIDTH))
