"""What the agreement run found, as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

#: What may be said of an input.
OUTCOMES = ("predicted", "rejected", "unmatched")
#: Disagreements that are printed; the JSON has all.
MOST_LINES = 20


def print_found(found: Mapping[str, Any], console: Console) -> None:
    """Two tables and what does not agree."""
    console.print(difference_table(found["kinds"]))
    console.print(quality_table(found["kinds"]))
    for line in [*found["unaccounted"], *found["disagreements"]][:MOST_LINES]:
        console.print(line, markup=False)
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in found["seconds"].items())
    console.print(f"{found['sent']} things were sent, {len(found['unaccounted'])} of them are not accounted for ({parts})")
    count = len(found["disagreements"])
    console.print(f"[red]{count} inputs are not judged alike[/red]" if count else "[green]online equals offline[/green]")


def difference_table(kinds: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a kind; an input that a gate refuses has no probability online, so there is none to compare."""
    columns = ("kind", "n", f"online: {' / '.join(OUTCOMES)}", "offline", "same verdict", "max", "median", "> 1e-3")
    table = Table(*columns, title="online beside offline: absolute difference of each finding's probability")
    for kind, one in kinds.items():
        ways = [" / ".join(str(one[way].get(outcome, 0)) for outcome in OUTCOMES) for way in ("online", "offline")]
        differences = [f"{one[name]:.1e}" if one[name] is not None else "-" for name in ("max_difference", "median_difference")]
        table.add_row(kind, str(one["n"]), *ways, str(one["same_verdict"]), *differences, str(one["differ"]))
    return table


def quality_table(kinds: Mapping[str, Mapping[str, Any]]) -> Table:
    """Accuracy at the card's threshold and AUROC beside the labels, on each way."""
    table = Table("kind", "way", "n", "accuracy", "AUROC", title="beside the labels, at the card's own threshold")
    for kind, one in kinds.items():
        for way, figures in one["figures"].items():
            shown = ["-" if figures[name] is None else f"{figures[name]:.4f}" for name in ("accuracy", "auroc")]
            table.add_row(kind, way, str(figures["n"]), *shown)
    return table
