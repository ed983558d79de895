"""Queue, claim and commit: processor time an event on lab windows, less that of the same windows judged without them.

One worker's life in this process, with a model that answers at once, so that nothing else is in the figure; and the door.
"""

import time
from typing import Any

from inputs import FACTS, make_inputs
from processes import cpu_seconds, database_processes

from db.accept import accept
from db.engine import Database
from db.leases import WorkerRow, enlist
from db.migrate import upgrade
from models.catalogue import list_cards
from models.intended import match
from models.interface import Prepared, Scores
from stream.arrival import Arrival, JudgeNow
from stream.content import Content, ContentStore
from stream.judgement import Finding, Judgement, Sample
from stream.ring import Bell
from stream.window import Window
from worker.diagnose import Diagnosis

#: Arrivals of one commit at the door.
GROUP = 256


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


def measure(place: Any, number: int) -> dict[str, Any]:
    """Milliseconds an event: at the door (intake's commit), and from the ring to the saved prediction."""
    database = Database(place.new_database("cost"))
    upgrade(database)
    store = ContentStore(place.folder / "cost")
    with database.write() as (connection, now):
        worker = enlist(connection, now, WorkerRow(name="cost", device="cpu", host="bench", pid=0, queues="lab.routine"))
    model = Instant()
    diagnosis = Diagnosis(
        database=database, store=store, models={model.card.digest: model}, worker_id=worker, device="cpu", slot="cost",
        bell=Bell(place.installation.settings.redis_url), stopping=lambda: False, prepare_threads=1,
    )  # fmt: skip
    contents = [store.begin(content) for content in make_inputs("lab", number)]
    _accept(database, contents[:GROUP], "first")
    diagnosis.run()  # statements are compiled once a process: that is not what an event costs
    began = spent(database)
    for start in range(0, number, GROUP):
        _accept(database, contents[start : start + GROUP], str(start))
    accepted = spent(database)
    saved = diagnosis.run()
    ended = spent(database)
    diagnosis.close()
    database.close()
    return {
        "n": saved,
        "door_cpu_ms_per_event": round(1000 * (accepted - began) / number, 4),
        "claim_to_save_cpu_ms_per_event": round(1000 * (ended - accepted) / number, 4),
    }


def _accept(database: Database, contents: list[Content], name: str) -> None:
    """One commit at the door."""
    arrivals = [
        Arrival(
            feed="bench", identity=f"{name}:{number}", sender_id="", content=content,
            asks=(JudgeNow(case_key=f"image:{name}-{number}", modality="lab", facts=FACTS["lab"]),),
        )
        for number, content in enumerate(contents)
    ]  # fmt: skip
    with database.write() as (connection, now):
        accept(connection, now, arrivals, slot="cost", window=Window())


def spent(database: Database) -> float:
    """Processor seconds so far, of this process and of the database's server."""
    return time.process_time() + cpu_seconds(database_processes(database.url.render_as_string(hide_password=False)))
