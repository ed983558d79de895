"""The life of a batch: claim, fetch, prepare, infer, save; the ledger's work is done while the device is busy with the next."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from db.claim import Found, is_full
from db.engine import Database
from models.interface import Model
from stream.content import ContentStore
from stream.errors import Temporary
from stream.event import Event, Judged
from stream.garbage import settle
from stream.metrics import Measures
from stream.queues import ALL_QUEUES, Lane
from stream.ring import Bell
from worker.held import Held, Saved
from worker.infer import judge_all
from worker.observe import observe
from worker.prepare import Ready, prepare_all
from worker.stages import Stages

log = logging.getLogger(__name__)

#: What is judged waits so long for the batch behind it, in whose thread's next transaction it would be saved, in seconds.
SAVE_AFTER = 1.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Events claimed together, and where their bytes are; ``done``: those ready for the device, and those with a verdict already.

    ``done`` is None until they are prepared.
    """

    events: Sequence[Event] = ()
    found: Mapping[int, Found] = field(default_factory=dict)
    fetch_seconds: float = 0.0
    done: Sequence[Ready | Judged] | None = None

    @property
    def lane(self) -> str:
        """Of all of them where it is stat, else of the most urgent."""
        return self.events[0].lane

    @property
    def suspect(self) -> bool:
        """Whether a worker died over these: they have the process to themselves."""
        return any(event.suspect for event in self.events)


@dataclass(kw_only=True)
class Diagnosis:
    """What one worker's process needs to judge; ``stopping`` says whether it was asked to end.

    ``renew``: other models by digest, once other cards have become active, else None; ``explained``: digests of those whose
    predictions are put on the list of what is to be explained.
    """

    database: Database
    store: ContentStore
    models: Mapping[str, Model]
    worker_id: int
    device: str
    slot: str
    bell: Bell
    stopping: Callable[[], bool]
    queues: Sequence[str] = ALL_QUEUES
    measures: Measures = field(default_factory=Measures)
    stages: Stages = field(default_factory=Stages)
    prepare_threads: int = 2
    renew: Callable[[], Mapping[str, Model] | None] = lambda: None
    explained: Callable[[], Collection[str]] = tuple

    def __post_init__(self) -> None:
        """Threads that decode, and one for the ledger, which works beside the device.

        A worker that has one core for all claims and fetches ahead, and prepares in its main thread: two threads that share
        a core take turns at the interpreter, which cost a scan a tenth of its time (docs/decisions/0016).
        """
        self._pool = ThreadPoolExecutor(self.prepare_threads, thread_name_prefix="prepare") if self.prepare_threads > 1 else None
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._unsaved: list[Judged] = []
        self._saved = 0
        self._held = Held(
            database=self.database,
            store=self.store,
            worker_id=self.worker_id,
            device=self.device,
            slot=self.slot,
            queues=self.queues,
            bell=self.bell,
            stages=self.stages,
            stopping=self.stopping,
            explained=lambda: self.explained(),  # noqa: PLW0108 - another may be given later
        )

    def run(self) -> int:
        """Judge until nothing waits or this worker is asked to stop; returns how many events were saved.

        While a full batch is judged the one before it is saved and the next one claimed. Behind a smaller one nothing is claimed
        ahead: that would be a small one too, while more is on its way. Raises Fatal when the lease or the device is lost.
        """
        self._saved, rung = 0, True
        batch = Batch()
        ahead: Future[Batch] | None = None
        try:
            while not self.stopping():
                self._renew()
                if not batch.events:
                    self._save_rest()
                    self._held.release_strays()
                    self._held.await_store()
                    batch, rung = self._take(rung=rung), False
                if batch.events:
                    self._let_overtake(batch)
                    ahead = self._look_ahead(batch)
                    current, batch = batch, Batch()
                    self._unsaved = self._judge(current)
                    batch, ahead = self._wait(ahead) if ahead else Batch(), None
                elif not (self._held.unsure or self._held.unread):
                    break
        finally:
            self._end_turn(batch, ahead)
        return self._saved

    def _wait(self, ahead: "Future[Batch]") -> Batch:
        """For the batch behind; where its bytes are long in coming, what is judged is saved meanwhile."""
        try:
            return ahead.result(SAVE_AFTER)
        except TimeoutError:
            self._save_rest()
            return ahead.result()

    def _end_turn(self, batch: Batch, ahead: "Future[Batch] | None") -> None:
        """Save what is judged, whatever became of the batch behind it, and hand that one back."""
        try:
            batch = ahead.result() if ahead else batch
        finally:
            self._save_rest()
            self._held.give_back(batch.events)

    def close(self) -> None:
        """End the threads."""
        self._ahead.shutdown()
        if self._pool:
            self._pool.shutdown()

    def _renew(self) -> None:
        """Judge with the cards that are active now; a batch that was prepared ahead keeps the model that it was prepared for."""
        with self.stages.at("load"):
            if renewed := self.renew():
                self.models = renewed
                settle()  # not before: until here those that no longer answer are held

    def _let_overtake(self, batch: Batch) -> None:
        """Judge what came as stat since this batch was claimed; behind a small one it does not wait long."""
        if is_full(batch.events) and not batch.suspect and batch.lane != Lane.STAT:
            urgent = self._found(self._held.claim_stat(), self.models)
            self._unsaved += self._judge(urgent) if urgent.events else []

    def _take(self, *, behind: str | None = None, rung: bool = False) -> Batch:
        """Claim and find one batch, and prepare it where there are threads for that."""
        models = self.models  # others may become active meanwhile
        return self._found(self._held.claim(behind=behind, rung=rung), models)

    def _look_ahead(self, batch: Batch) -> "Future[Batch] | None":
        """Begin what the ledger's thread does while this batch is judged."""
        if is_full(batch.events) and not batch.suspect and not self._held.unsure:
            judged, self._unsaved = self._unsaved, []
            return self._ahead.submit(self._turn, judged, batch.lane)
        self._save_rest()
        return None

    def _turn(self, judged: Sequence[Judged], behind: str) -> Batch:
        """On the ledger's thread: save the batch before, and claim the next, ``behind`` that in hand, in the same transaction."""
        if not judged:
            return self._take(behind=behind)
        models = self.models
        began = time.perf_counter()
        answer = self._held.save_and_claim(judged, behind)
        if answer is None:
            return Batch()
        saved, claimed = answer
        self._count(judged, saved, began)
        return self._found(claimed, models)

    def _found(self, claimed: Sequence[Event], models: Mapping[str, Model]) -> Batch:
        if not claimed:
            return Batch()
        self._held.take_up(claimed)
        began = time.perf_counter()
        found = self._held.find(claimed)
        if found is None:  # asked to stop while the database was away; the leases go back when the process ends
            return Batch()
        batch = Batch(events=claimed, found=found, fetch_seconds=(time.perf_counter() - began) / len(claimed))
        return self._prepare(batch, models) if self._pool else batch

    def _prepare(self, batch: Batch, models: Mapping[str, Model]) -> Batch:
        """Where a content store cannot be read, what lies there is left to others, and the rest is prepared."""
        self._held.tell_stage(batch.events, "prepare")
        try:
            with self.stages.at("prepare"):
                done = prepare_all(
                    batch.events, batch.found, models, self._pool, stages=self.stages, fetch_seconds=batch.fetch_seconds
                )
        except Temporary as error:
            log.warning("left to others: %s", error)
            away = [event for event in batch.events if batch.found[event.id].on_disk]
            self._held.leave_to_others(away, [batch.found[event.id] for event in away])
            here = [event for event in batch.events if not batch.found[event.id].on_disk]
            return self._prepare(replace(batch, events=here), models)
        return Batch(events=batch.events, done=done)

    def _judge(self, batch: Batch) -> list[Judged]:
        """Infer one batch, prepared first where that is left to this thread."""
        done = batch.done if batch.done is not None else self._prepare(batch, self.models).done
        if not done:
            return []
        self._held.tell_stage(batch.events, "infer")
        with self.stages.at("infer"):
            judged = [one for one in done if isinstance(one, Judged)]
            return judged + judge_all([one for one in done if isinstance(one, Ready)])

    def _save_rest(self) -> None:
        """Save what is judged and not yet saved; it is let go where this worker was asked to stop while the database was away."""
        judged, self._unsaved = self._unsaved, []
        if not judged:
            return
        began = time.perf_counter()
        saved = self._held.save(judged)
        if saved is not None:
            self._count(judged, saved, began)

    def _count(self, judged: Sequence[Judged], saved: Saved, began: float) -> None:
        ids, now = saved
        ours = [one for one in judged if one.event.id in ids]
        self._saved += len(ours)
        observe(self.measures, ours, now, (time.perf_counter() - began) / len(judged))
