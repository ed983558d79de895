"""A CSV of labels → rows for the ledger; what cannot be used is told by its line.

Columns: ``event_id`` or ``sender_id`` (the SOP Instance UID, MSH-10, … that the sender gave), ``label``, ``value`` (1 or 0, yes or
no, true or false); ``source`` and ``at`` (ISO 8601 with an offset) may be left out.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import sqlalchemy as sa

from db.engine import Database
from db.labels import Label, add_labels, find_events, known_events, said_labels
from stream.errors import DxstreamError

#: Rows of one transaction.
AT_ONCE = 500

_VALUES = {"1": True, "yes": True, "true": True, "positive": True, "0": False, "no": False, "false": False, "negative": False}
_NEEDED = ("label", "value")
#: Who a label comes from where the file does not say.
NOBODY = "unnamed"


@dataclass
class Imported:
    """``unused``: line number → why. What a line holds is not repeated: it may name somebody."""

    new: int = 0
    again: int = 0
    unused: dict[int, str] = field(default_factory=dict)


class UnusableRowError(DxstreamError):
    """A line that says nothing that can be kept."""


def import_labels(database: Database, path: Path, *, source: str = "") -> Imported:
    """Keep every line that can be used; raises DxstreamError when the file has not the columns."""
    done = Imported()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            _check_columns(reader.fieldnames or ())
            lines = ((reader.line_num, line) for line in reader)
            while some := list(islice(lines, AT_ONCE)):
                _take(database, dict(some), source, done)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DxstreamError(f"the file of labels cannot be read ({type(error).__name__})") from error
    return done


def _check_columns(names: object) -> None:
    columns = set(names) if isinstance(names, list) else set()
    missing = [name for name in _NEEDED if name not in columns]
    if not columns & {"event_id", "sender_id"}:
        missing.insert(0, "event_id or sender_id")
    if missing:
        raise DxstreamError(f"the file of labels has no column {', '.join(missing)}")


def _take(database: Database, lines: Mapping[int, Mapping[str, str | None]], source: str, done: Imported) -> None:
    with database.write() as (connection, now):
        events = _events_of(connection, lines, done)
        said = said_labels(connection, set(events.values()))
        rows = []
        for number, event_id in events.items():
            try:
                row = _label(lines[number], event_id, source, now)
            except UnusableRowError as error:
                done.unused[number] = str(error)
                continue
            if event_id in said and row.label not in said[event_id]:
                done.unused[number] = f"no model has a finding of that label; the labels are: {', '.join(sorted(said[event_id]))}"
            else:
                rows.append(row)
        new, again = add_labels(connection, rows, slot="labels")
    done.new += new
    done.again += again


def _events_of(connection: sa.Connection, lines: Mapping[int, Mapping[str, str | None]], done: Imported) -> dict[int, int]:
    """Line → event."""
    by_id = {number: text for number, line in lines.items() if (text := _text(line, "event_id"))}
    numbers = {number: int(text) for number, text in by_id.items() if text.isdecimal() and len(text) < 19}
    known = known_events(connection, set(numbers.values()))
    by_name = {number: text for number, line in lines.items() if number not in by_id and (text := _text(line, "sender_id"))}
    named = find_events(connection, set(by_name.values()))
    found: dict[int, int] = {}
    for number in lines:
        candidates = {numbers[number]} & known if number in numbers else named.get(by_name.get(number, ""), set())
        if len(candidates) == 1:
            found[number] = next(iter(candidates))
        elif candidates:
            done.unused[number] = "several events have this sender_id; name the event by its id"
        elif number in by_id or number in by_name:
            done.unused[number] = "no such event"
        else:
            done.unused[number] = "neither event_id nor sender_id is given"
    return found


def _label(line: Mapping[str, str | None], event_id: int, source: str, now: datetime) -> Label:
    label, value = _text(line, "label"), _VALUES.get(_text(line, "value").lower())
    if not label:
        raise UnusableRowError("label is empty")
    if value is None:
        raise UnusableRowError("value is neither 1 nor 0 (nor yes, no, true, false)")
    at = _moment(_text(line, "at")) or now
    return Label(event_id=event_id, label=label, value=value, source=_text(line, "source") or source or NOBODY, at=at)


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnusableRowError("at is no time as ISO 8601 writes it") from error
    if at.tzinfo is None:
        raise UnusableRowError("at has no offset from UTC")
    return at.astimezone(UTC)


def _text(line: Mapping[str, str | None], name: str) -> str:
    return (line.get(name) or "").strip()


def unused_lines(done: Imported) -> Iterator[str]:
    """In order, in words."""
    return (f"line {number}: {why}" for number, why in sorted(done.unused.items()))
