"""Notes: a CSV ``id,label,text`` (or ``labels``, see ``models.labels``), or a folder with one.

Where known also ``group`` or ``patient``, ``age_years``, ``sex``, ``care_unit`` and ``summary``, the text that seq2seq is to write.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.example import Example, join_groups
from models.labels import facts_of, group_of, label_columns, labels_of
from stream.errors import Refused
from stream.judgement import Sample
from stream.table import Row, once, read_head, read_rows


def read_notes(path: Path, *, labelled: bool = True) -> list[Example]:
    """Every note, grouped by ``group`` or ``patient`` where the CSV says it, else by id; exact copies share a group."""
    file = path if path.is_file() else _only_csv(path)
    columns = label_columns(read_head(file, "id", "text"), str(file), labelled=labelled)
    rows = list(once(read_rows(file, "id", "text", *columns), "id"))
    texts = {row["id"]: row["text"] for _, row in rows}
    examples = [_example(row, columns, labelled=labelled) for row in rows]
    return join_groups(examples, lambda example: hashlib.sha256(texts[example.id].encode()).hexdigest())


def _only_csv(folder: Path) -> Path:
    found = sorted(folder.glob("*.csv"))
    if len(found) != 1:
        raise Refused(f"{len(found) or 'no'} CSVs with id,label,text: one is needed", where=str(folder))
    return found[0]


def _example(told: Row, columns: Sequence[str], *, labelled: bool) -> Example:
    where, row = told
    label, labels = labels_of(row, columns, where, labelled=labelled)
    facts: dict[str, Any] = facts_of(row, where)
    text = row["text"].encode()
    return Example(
        id=row["id"],
        label=label,
        labels=labels,
        target=row.get("summary") or label,
        group=group_of(row) or row["id"],
        open=lambda: Sample(contents=(text,), facts=facts),
    )
