"""Submission to durable prediction: open loop, Poisson arrivals, dxstream and the bare loop fed at the same pace in turn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from design import WIDTH, Feed, median, percentile
from pacing import poisson
from rich.console import Console

from dxstream.show import print_table

#: Shares of what the limit reached.
LOADS = (0.05, 0.5, 0.8)
#: A percentile of fewer says little.
FEWEST = 100


def latency_rows(
    feeds: Mapping[str, Feed], paths: Sequence[Path], limit: float, rounds: int, *, seconds: float
) -> list[dict[str, Any]]:
    """A row a load and feed: medians over the rounds of that round's percentiles. ``limit``: events a second."""
    rows = []
    for load in LOADS:
        rate = load * limit
        number = min(max(round(rate * seconds), FEWEST if seconds > 1 else 20), len(paths))
        found: dict[str, list[list[float]]] = {name: [] for name in feeds}
        for round_ in range(rounds):
            moments = poisson(rate, number, seed=round_)
            for name, feed in feeds.items():
                found[name].append(feed(paths[:number], moments))
        rows += [_row(name, some, load, rate, number) for name, some in found.items()]
    return rows


def _row(name: str, found: Sequence[Sequence[float]], load: float, rate: float, number: int) -> dict[str, Any]:
    return {
        "design": name,
        "load": load,
        "rate_per_s": round(rate, 1),
        "p50_ms": round(1000 * median([percentile(one, 0.5) for one in found]), 2),
        "p99_ms": round(1000 * median([percentile(one, 0.99) for one in found]), 2),
        "n": number,
    }


def show_latency(rows: Sequence[Mapping[str, Any]]) -> None:
    """Ours beside the bare loop."""
    names = ("work", "database", "load", "rate_per_s", "n", "design", "p50_ms", "p99_ms")
    table = [[row[name] for name in names] for row in rows]
    print_table("submission to durable prediction", names, table, console=Console(width=WIDTH))
