"""Labelled notes: a CSV ``id,label,text`` (or ``labels``, see ``models.labels``), or a folder with one.

Where known also ``patient``, ``age_years``, ``sex``, ``care_unit`` and ``summary``, the text that seq2seq is to write.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.example import Example, join_groups
from models.labels import facts_of, label_columns, labels_of
from stream.errors import Refused
from stream.judgement import Sample

#: Characters that one field of the CSV may have.
MOST_CHARACTERS = 4 * 2**20


def read_notes(path: Path) -> list[Example]:
    """Every note, grouped by ``patient`` where the CSV has that column, else by id; exact copies share a group."""
    file = path if path.is_file() else next(iter(sorted(path.glob("*.csv"))), None)
    if file is None:
        raise Refused("no CSV with id,label,text", where=str(path))
    csv.field_size_limit(MOST_CHARACTERS)
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        missing = {"id", "text"} - set(reader.fieldnames or ())
        if missing:
            raise Refused(f"no column {', '.join(sorted(missing))}", where=str(file))
        columns = label_columns(reader.fieldnames or (), str(file))
        rows = list(reader)
    texts = {row["id"]: row["text"] for row in rows}
    examples = [_example(row, columns, str(file)) for row in rows]
    return join_groups(examples, lambda example: hashlib.sha256(texts[example.id].encode()).hexdigest())


def _example(row: Mapping[str, str], columns: Sequence[str], where: str) -> Example:
    label, labels = labels_of(row, columns, where)
    facts: dict[str, Any] = facts_of(row, where)
    text = row["text"].encode()
    return Example(
        id=row["id"],
        label=label,
        labels=labels,
        target=row.get("summary") or label,
        group=row.get("patient") or row["id"],
        open=lambda: Sample(contents=(text,), facts=facts),
    )
