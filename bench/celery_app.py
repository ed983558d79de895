"""Celery as its users first write it: one task an event, prefork, acknowledged late, one commit each, the model in plain fp32.

A model is loaded by the first task that needs it, in the child: never before the fork. PyTorch chooses its own number of threads.
Images are read with pydicom. Broker and database come from the environment.
"""

import json
import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from celery import Celery
from inputs import FACTS

from models import pixels
from models.catalogue import list_cards, load
from models.intended import match
from stream.judgement import Sample

app = Celery("first", broker=os.environ["BENCH_REDIS"])
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)

tables = sa.MetaData()
predictions = sa.Table(
    "predictions",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    *[sa.Column(name, sa.Text) for name in ("path", "model", "version", "digest", "details", "created_at")],
    sa.Column("uncertain", sa.Boolean),
)
findings = sa.Table(
    "findings",
    tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("prediction_id", sa.Integer),
    sa.Column("label", sa.Text),
    sa.Column("probability", sa.Float),
    sa.Column("threshold", sa.Float),
    sa.Column("positive", sa.Boolean),
)


@cache
def engine() -> sa.Engine:
    """One a process."""
    return sa.create_engine(os.environ["BENCH_DATABASE"], connect_args={"timeout": 60} if _is_sqlite() else {})


def _is_sqlite() -> bool:
    return os.environ["BENCH_DATABASE"].startswith("sqlite")


@cache
def model_of(kind: str):
    """One a process."""
    return load(match(list_cards(), kind, FACTS[kind]))


@app.task(name="judge")
def judge(kind: str, path: str) -> None:
    """Read, infer, write."""
    pixels.read_short = lambda _content: None  # none of our short ways: pydicom reads every image
    model = model_of(kind)
    prepared = model.prepare(Sample(contents=(Path(path).read_bytes(),), facts=FACTS[kind]))
    said = model.interpret(prepared, model.infer([prepared])[0])
    row = {"path": path, "model": model.card.name, "version": model.card.version, "digest": model.card.digest}
    row |= {"details": json.dumps(said.details), "created_at": datetime.now(UTC).isoformat(), "uncertain": said.uncertain}
    with engine().begin() as connection:
        number = connection.execute(sa.insert(predictions).values(row)).inserted_primary_key[0]
        connection.execute(sa.insert(findings), [{"prediction_id": number, **vars(one)} for one in said.findings])
