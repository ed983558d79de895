"""Further rows: the cost of queue, claim and commit; stat events beside a backlog; growth of the ledger; a slow network."""

from collections.abc import Mapping
from typing import Any

import further_cost
import further_growth
import further_network
import further_stat
from design import WIDTH
from rich.console import Console

from dxstream.show import print_table


def measure(place: Any, *, short: bool) -> dict[str, Any]:
    """By name; each is a mapping of figures."""
    return {
        "queue, claim and commit": further_cost.measure(place, 1000 if short else 20_000),
        "stat beside a backlog": further_stat.measure(place, 2000 if short else 100_000),
        "growth": further_growth.measure(place, (1000, 5000) if short else (10_000, 100_000, 1_000_000)),
        "a network of 2 ms": further_network.measure(place, 96 if short else 1000),
    }


def show(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """One line a figure."""
    rows = [
        (database, name, figure, value)
        for database, parts in found.items()
        for name, figures in parts.items()
        for figure, value in figures.items()
    ]
    if rows:
        print_table("further", ("database", "what", "figure", "value"), rows, console=Console(width=WIDTH))
