"""The limit: the bare loop. Same files, same prepare, same model, same rows in bulk; no queue, no ledger, no claim.

``python limit.py KIND LIST DATABASE PART`` reads numbers of 4 bytes from standard input, each the place of a file in LIST, and
judges whatever has come, a batch at a time. For each batch it writes one line: the numbers, when it was durable (seconds of the
machine's monotonic clock) and its processor time so far.
"""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import psycopg
import torch
from inputs import FACTS

from models.catalogue import list_cards
from models.intended import match
from models.model import Model
from stream.errors import NotJudged
from stream.garbage import settle
from stream.judgement import Judgement, Sample
from stream.memory import keep_memory
from worker.process import ready

#: Beyond 16 no size is clearly faster than another (docs/decisions/0016).
BATCH = {"scan": 32, "note": 32, "lab": 256}
_PREDICTIONS = """CREATE TABLE predictions(id BIGINT PRIMARY KEY, case_key TEXT, model TEXT, version TEXT, digest TEXT,
    outcome TEXT,
    uncertain BOOLEAN, details TEXT, created_at TEXT)"""
_FINDINGS = """CREATE TABLE findings(prediction_id BIGINT, label TEXT, probability FLOAT, threshold FLOAT, positive BOOLEAN,
    PRIMARY KEY (prediction_id, label))"""
TABLES = (_PREDICTIONS, _FINDINGS)
Row = tuple[object, ...]


def main(kind: str, listed: str, database: str, part: int) -> None:
    """Load, then judge until standard input ends."""
    keep_memory()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    model = ready(match(list_cards(), kind, FACTS[kind]), "cpu", os.environ.get("DXSTREAM_RUNTIME", ""))
    paths = Path(listed).read_text().split()
    write = writer(database)
    settle()
    say("ready")
    number = part * 10**9
    while taken := os.read(0, 4 * BATCH[kind]):
        batch = [paths[place] for place in np.frombuffer(taken, np.uint32)]
        rows, found = judge(model, kind, batch, number)
        write(rows, found)
        number += len(batch)
        places = np.frombuffer(taken, np.uint32).tolist()
        say(json.dumps([places, time.monotonic(), time.process_time()]))


def say(line: str) -> None:
    """By one call: the loops share one pipe, and ``print`` may write a line in two pieces."""
    os.write(1, f"{line}\n".encode())


def judge(model: Model, kind: str, batch: Sequence[str], first: int) -> tuple[list[Row], list[Row]]:
    """Rows of predictions, numbered from ``first`` on, and of findings."""
    prepared = [read(model, kind, path) for path in batch]
    taken = [one for one in prepared if one is not None]
    answers = iter([interpret(model, one, scores) for one, scores in zip(taken, model.infer(taken), strict=True)])
    judgements = [None if one is None else next(answers) for one in prepared]
    card, now = model.card, datetime.now(UTC).isoformat()
    rows, found = [], []
    for number, (path, said) in enumerate(zip(batch, judgements, strict=True), first):
        outcome, details = ("predicted", json.dumps(said.details)) if said else ("rejected", "{}")
        unsure = bool(said and said.uncertain)
        rows.append((number, path, card.name, card.version, card.digest, outcome, unsure, details, now))
        found += [(number, one.label, one.probability, one.threshold, one.positive) for one in (said.findings if said else ())]
    return rows, found


def read(model: Model, kind: str, path: str):
    """One file, prepared; None when a gate refuses it."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a third of the time that Path takes
            return model.prepare(Sample(contents=(file.read(),), facts=FACTS[kind]))
    except NotJudged:
        return None


def interpret(model: Model, prepared, scores) -> Judgement | None:
    """One judgement, or None when the gate after the model refuses."""
    try:
        return model.interpret(prepared, scores)
    except NotJudged:
        return None


def writer(database: str) -> Callable[[list[Row], list[Row]], None]:
    """Writes the rows of a batch in one durable commit."""
    return to_sqlite(database) if database.endswith(".sqlite") else to_postgresql(database)


def to_sqlite(path: str) -> Callable[[list[Row], list[Row]], None]:
    """WAL, synchronous FULL, as the ledger has it."""
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")  # the file is in WAL mode already
    connection.execute("PRAGMA wal_autocheckpoint=4000")

    def write(rows: list[Row], found: list[Row]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO findings VALUES (?, ?, ?, ?, ?)", found)
        connection.execute("COMMIT")

    return write


def to_postgresql(url: str) -> Callable[[list[Row], list[Row]], None]:
    """COPY is the fastest way in."""
    connection = psycopg.connect(url)

    def write(rows: list[Row], found: list[Row]) -> None:
        with connection.cursor() as cursor:
            for table, some in (("predictions", rows), ("findings", found)):
                with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                    for row in some:
                        copy.write_row(row)
        connection.commit()

    return write


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
