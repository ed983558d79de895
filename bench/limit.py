"""The limit: the bare loop. Same files, same prepare, same model, same rows in bulk; no queue, no ledger, no claim.

``python limit.py KIND FOLDER DATABASE PART PARTS`` judges every PARTS-th file of FOLDER and prints when it began and ended
(seconds of the machine's monotonic clock) as JSON. It waits for a line on standard input, so that several begin together.
"""

import json
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from inputs import FACTS

from models.catalogue import list_cards, load
from models.intended import match
from stream.errors import NotJudged
from stream.judgement import Sample

BATCH = {"scan": 32, "note": 64, "lab": 256}


def main(kind: str, folder: str, database: str, part: int, parts: int) -> None:
    """Load, wait, judge, print."""
    torch.set_num_threads(1)
    card = match(list_cards(), kind, FACTS[kind])
    model = load(card)
    model.warm_up()
    paths = sorted(Path(folder).iterdir())[part::parts]
    batches = [paths[start : start + BATCH[kind]] for start in range(0, len(paths), BATCH[kind])]
    rows = sqlite3.connect(database, timeout=60, isolation_level=None)
    rows.execute("PRAGMA journal_mode=WAL")
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool, ThreadPoolExecutor(1) as ahead:

        def prepare(batch: list[Path]) -> list:
            return list(pool.map(lambda path: read(model, kind, path), batch))

        waiting = ahead.submit(prepare, batches[0])
        for place, batch in enumerate(batches):
            ready = waiting.result()
            if place + 1 < len(batches):
                waiting = ahead.submit(prepare, batches[place + 1])
            save(rows, batch, judge(model, ready), model)
    print(json.dumps({"began": began, "ended": time.monotonic(), "cpu": time.process_time()}), flush=True)


def read(model, kind: str, path: Path):
    """One file, prepared; None when a gate refuses it."""
    try:
        return model.prepare(Sample(contents=(path.read_bytes(),), facts=FACTS[kind]))
    except NotJudged:
        return None


def judge(model, ready: list) -> list:
    """Judgements in order; None where a gate refused."""
    taken = [one for one in ready if one is not None]
    scores = []
    for start in range(0, len(taken), model.batch_size):
        scores += model.infer(taken[start : start + model.batch_size])
    answers = iter([interpret(model, one, score) for one, score in zip(taken, scores, strict=True)])
    return [None if one is None else next(answers) for one in ready]


def interpret(model, prepared, scores):
    """One judgement, or None when the gate after the model refuses."""
    try:
        return model.interpret(prepared, scores)
    except NotJudged:
        return None


def save(rows: sqlite3.Connection, batch: list[Path], judgements: list, model) -> None:
    """One commit a batch: a row an input, a row a finding."""
    rows.execute("BEGIN IMMEDIATE")
    for path, judgement in zip(batch, judgements, strict=True):
        said = "predicted" if judgement else "rejected"
        cursor = rows.execute(
            "INSERT INTO predictions(input, model, digest, outcome, created) VALUES (?, ?, ?, ?, ?)",
            (path.name, model.card.name, model.card.digest, said, time.time()),
        )
        if judgement:
            rows.executemany(
                "INSERT INTO findings VALUES (?, ?, ?, ?, ?)",
                [(cursor.lastrowid, one.label, one.probability, one.threshold, one.positive) for one in judgement.findings],
            )
    rows.execute("COMMIT")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
