"""What people see of a backlog: a bar while it goes on, counts by outcome and reason at its end, and a CSV of what failed."""

import csv
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from db.backlogs import get_backlog
from db.engine import Database
from db.manifest import count_events, count_reasons, faulty
from dxstream.show import print_json, print_table

#: Without a terminal a line is written every so many seconds.
LINE_SECONDS = 10.0

_DEALT_WITH = ("taken", "known", "refused", "failed")
_COLUMNS = ("path", "member", "part", "state", "reason")
_WAITS = {
    "hours": "waits for its hours",
    "room": "waits for room in the ledger",
    "resume": "paused",
    "disk": "waits for the disk",
    "source": "waits for the PACS",
}


class Progressing:
    """A bar on a terminal, else lines on standard error; nothing of what is pushed is named."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"), console=console
        )
        self._live = console.is_terminal
        self._task = self._bar.add_task("backlog", total=None, words="")
        self._written_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._bar.stop()

    def show(self, row: Mapping[str, Any]) -> None:
        """The backlog's row as it now is."""
        done = sum(row[name] for name in _DEALT_WITH)
        words = progress_words(row)
        if self._live:
            total = row["files"] if row["listed_at"] else None
            self._bar.update(self._task, completed=done, total=total, words=words, description=f"backlog {row['id']}")
        elif time.monotonic() - self._written_at > LINE_SECONDS or row["state"] == "done":
            self._written_at = time.monotonic()
            sys.stderr.write(f"backlog {row['id']}: {done} of {row['files']} files, {words}\n")


def progress_words(row: Mapping[str, Any]) -> str:
    """Speed and end, or what it waits for."""
    if row["listed_at"] is None:
        return f"listing: {row['files']} files so far"
    if row["waits_for"] and row["waits_for"] != "room":
        return _WAITS.get(row["waits_for"], f"waits for the {row['waits_for']}")
    speed = f"{row['files_per_second']:.0f} files/s" if row["files_per_second"] else ""
    until = f"through at {_local(row['eta_at'])}" if row["eta_at"] else ""
    faults = f"{row['refused'] + row['failed']} not taken" if row["refused"] + row["failed"] else ""
    waits = _WAITS["room"] if row["waits_for"] else ""
    return ", ".join(filter(None, (speed, until, faults, waits)))


def _local(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M")


def print_report(database: Database, backlog_id: int, *, as_json: bool = False) -> None:
    """Counts by outcome and reason, and what became of the events."""
    with database.read() as connection:
        row = get_backlog(connection, backlog_id)
        reasons = count_reasons(connection, backlog_id)
        became = count_events(connection, backlog_id)
    if as_json:
        counted = [dict(zip(("outcome", "reason", "n"), one, strict=True)) for one in reasons]
        events = [dict(zip(("state", "outcome", "reason", "n"), one, strict=True)) for one in became]
        print_json({**row, "reasons": counted, "events": events})
        return
    print_table(f"backlog {backlog_id}: {row['files']} files, {row['inputs']} new inputs", ("outcome", "reason", "n"), reasons)
    print_table("what became of the first input of each file", ("state", "outcome", "reason", "n"), became)


def write_failures(database: Database, backlog_id: int, path: Path) -> int:
    """A row for each file, or part of a file, that was not taken; none, and no file, where all were. How many."""
    number, after = 0, 0
    while True:
        with database.read() as connection:
            page = faulty(connection, backlog_id, after)
        if not page:
            return number
        with path.open("a" if number else "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if not number:
                writer.writerow(_COLUMNS)
            writer.writerows([[row[name] for name in _COLUMNS] for row in page])
        number += len(page)
        after = page[-1]["id"]
