"""One worker's life in this process, with a model that answers at once: what remains is the queue."""

from typing import Any

from inputs import FACTS

from db.engine import FOR_WORKERS, Database
from db.leases import WorkerRow, enlist
from db.migrate import upgrade
from models.catalogue import list_cards
from models.intended import match
from models.interface import Prepared, Scores
from stream.content import ContentStore
from stream.judgement import Finding, Judgement, Sample
from stream.ring import Bell
from worker.diagnose import Diagnosis


class Instant:
    """A model that costs nothing: what remains is the queue."""

    batch_size = 256
    _prepared = Prepared(arrays={}, details={"points": 1})
    _scores = Scores(logits=None, error=0.0)  # type: ignore[arg-type] # nobody looks
    _said = Judgement(findings=(Finding(label="death", probability=0.5, threshold=0.5, positive=True),), details={"points": 1})

    def __init__(self) -> None:
        self.card = match(list_cards(), "lab", FACTS["lab"])

    def prepare(self, _sample: Sample) -> Prepared:
        """Always the same."""
        return self._prepared

    def infer(self, batch: list[Prepared]) -> list[Scores]:
        """Likewise."""
        return [self._scores] * len(batch)

    def interpret(self, _prepared: Prepared, _scores: Scores) -> Judgement:
        """Likewise."""
        return self._said


def one_worker(place: Any, name: str) -> Diagnosis:
    """A worker on a new database and content store, both called ``name``."""
    database = Database(place.new_database(name), FOR_WORKERS)
    upgrade(database)
    with database.write() as (connection, now):
        worker = enlist(connection, now, WorkerRow(name=name, device="cpu", host="bench", pid=0, queues="lab.routine"))
    model = Instant()
    return Diagnosis(
        database=database, store=ContentStore(place.folder / name), models={model.card.digest: model}, worker_id=worker,
        device="cpu", slot=name, bell=Bell(place.installation.settings.redis_url), stopping=lambda: False, prepare_threads=1,
    )  # fmt: skip
