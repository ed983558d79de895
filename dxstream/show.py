"""What the command line prints: one JSON document, or a table for people."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table


def print_json(document: Any) -> None:
    """One document on standard output."""
    json.dump(document, sys.stdout, default=_plain, indent=1)
    sys.stdout.write("\n")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value).__name__}")


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, console: Console | None = None) -> None:
    """A table as wide as the terminal."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*[_words(cell) for cell in row])
    (console or Console()).print(table)


def print_records(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table of mappings."""
    print_table(f"{title} ({len(rows)})", columns, [[row.get(name) for name in columns] for row in rows])


def print_addresses(addresses: Mapping[str, str]) -> None:
    """Where to connect."""
    print_table("dxstream is up", ("what", "where"), addresses.items())


def print_status(status: Mapping[str, Any]) -> None:
    """The ledger in numbers."""
    for part in ("inputs", "events", "outcomes"):
        print_table(part, tuple(status[part]), [tuple(status[part].values())])
    print_records("queues", status["queues"], ("modality", "lane", "waiting", "leased", "oldest_seconds"))
    print_records("workers", status["workers"], ("name", "device", "pid", "alive"))


def said(prediction: Mapping[str, Any]) -> str:
    """A prediction in a few words: what is positive, else the likeliest."""
    found = prediction["findings"]
    positive = [f"{finding['label']} {finding['probability']:.3f}" for finding in found if finding["positive"]]
    rest = [f"no {finding['label']} ({finding['probability']:.3f})" for finding in found if not finding["positive"]]
    words = ", ".join(positive) or (rest[0] if len(found) == 1 else "none above its limit")
    return words + (" (uncertain)" if prediction["uncertain"] else "")


def _words(cell: Any) -> str:
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d %H:%M:%S")
    return "" if cell is None else str(cell)
