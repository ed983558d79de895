"""A small model and a worker without Celery around it, for tests of what happens to a batch."""

from collections.abc import Sequence

import numpy as np

from db.accept import accept
from db.engine import Database
from db.leases import WorkerRow, enlist
from models.card import Card
from models.interface import Prepared, Scores
from stream.arrival import Arrival, JudgeNow
from stream.content import Content, ContentStore
from stream.errors import Rejected
from stream.judgement import Finding, Judgement, Sample
from stream.queues import Lane
from stream.ring import Bell
from stream.window import Window
from worker.diagnose import Diagnosis


class SmallModel:
    """Says 0.9 of everything. What an input's bytes say decides its trouble: ``reject``, ``break``, ``poison``, ``memory``."""

    batch_size = 8

    def __init__(self, name: str = "small", intended: dict | None = None) -> None:
        self.card = Card(
            name=name,
            version="1",
            kind="scan",
            architecture="none",
            task="",
            config={},
            classes=("sick",),
            labels=("sick",),
            intended_use=intended or {},
            digest=f"digest of {name}",
        )
        self.batches: list[int] = []

    def prepare(self, sample: Sample) -> Prepared:
        content = sample.contents[0]
        if content == b"reject":
            raise Rejected("constant image")
        if content == b"break":
            raise ZeroDivisionError
        return Prepared(arrays={"content": np.frombuffer(content, np.uint8)})

    def infer(self, batch: Sequence[Prepared]) -> list[Scores]:
        self.batches.append(len(batch))
        contents = [one.arrays["content"].tobytes() for one in batch]
        if b"memory" in contents and len(batch) > 1:
            raise RuntimeError("CUDA out of memory")
        if b"poison" in contents:
            raise RuntimeError("shapes do not fit")
        return [Scores(logits=np.zeros(1, np.float32), error=0.0) for _ in batch]

    def interpret(self, prepared: Prepared, scores: Scores) -> Judgement:
        del prepared, scores
        return Judgement(findings=(Finding(label="sick", probability=0.9, threshold=0.5, positive=True),))


def worker_on(database: Database, store: ContentStore, redis_url: str, *models: SmallModel, **more) -> Diagnosis:
    """A worker in this thread."""
    with database.write() as (connection, now):
        row = WorkerRow(name=more.pop("name", "w"), device="cpu", host="here", pid=1, queues="scan.stat,scan.routine,scan.backlog")
        worker_id = enlist(connection, now, row)
    return Diagnosis(
        database=database,
        store=store,
        models={model.card.digest: model for model in models or (SmallModel(),)},
        worker_id=worker_id,
        device="cpu",
        slot="test",
        bell=Bell(redis_url),
        **{"stopping": lambda: False, **more},
    )


def send(database: Database, *texts: str, lane: Lane = Lane.ROUTINE, facts: dict | None = None) -> None:
    """One event a text; what the text says before a colon is its content."""
    arrivals = []
    for number, text in enumerate(texts):
        data = text.encode()
        ask = JudgeNow(case_key=f"image:{text}{number}", modality="scan", facts=facts or {})
        content = Content(digest=text.rjust(64, "0"), size=len(data), data=data)
        arrivals.append(
            Arrival(feed="dicom", identity=f"sop:{text}{number}", sender_id=str(number), content=content, asks=(ask,), lane=lane)
        )
    with database.write() as (connection, now):
        accept(connection, now, arrivals, slot="test", window=Window())
