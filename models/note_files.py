"""Labelled notes: a CSV ``id,label,text``, or a folder with one."""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path

from models.example import Example, join_groups
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
        missing = {"id", "label", "text"} - set(reader.fieldnames or ())
        if missing:
            raise Refused(f"no column {', '.join(sorted(missing))}", where=str(file))
        rows = list(reader)
    texts = {row["id"]: row["text"] for row in rows}
    examples = [
        Example(id=row["id"], label=row["label"], group=row.get("patient") or row["id"], open=_opener(row["text"])) for row in rows
    ]
    return join_groups(examples, lambda example: hashlib.sha256(texts[example.id].encode()).hexdigest())


def _opener(text: str) -> Callable[[], Sample]:
    return lambda: Sample(contents=(text.encode(),))
