"""The life of a batch: claim, fetch, prepare, infer, save; the ledger's work is done while the device is busy with the next."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa

from db.claim import Found, claim, claim_within, find, is_full
from db.engine import Database
from db.leases import set_stage
from db.save import hand_back, save
from models.interface import Model
from stream.content import ContentStore
from stream.errors import Temporary
from stream.event import Event, Judged
from stream.metrics import Measures
from stream.queues import ALL_QUEUES, queue_name
from stream.ring import Bell
from worker.infer import judge_all
from worker.observe import observe
from worker.prepare import Ready, prepare_all
from worker.stages import Stages

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Between two tries to reach a database that is away, in seconds.
RETRY_SECONDS = 0.5
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
        self._unsure = False  # whether a claim may have been committed without our knowing

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
                    self._release_strays()
                    batch, rung = self._take(rung=rung), False
                if batch.events:
                    ahead = self._look_ahead(batch)
                    current, batch = batch, Batch()
                    self._unsaved = self._judge(current)
                    batch, ahead = self._wait(ahead) if ahead else Batch(), None
                elif not self._unsure:
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
            self._give_back(batch)

    def close(self) -> None:
        """End the threads."""
        self._ahead.shutdown()
        if self._pool:
            self._pool.shutdown()

    def _renew(self) -> None:
        """Judge with the cards that are active now; a batch that was prepared ahead keeps the model that it was prepared for."""
        with self.stages.at("load"):
            self.models = self.renew() or self.models

    def _take(self, *, suspects: bool = True, rung: bool = False) -> Batch:
        """Claim and find one batch, and prepare it where there are threads for that."""
        models = self.models  # others may become active meanwhile
        claimed = self._persist("claim", lambda: self._claim(suspects=suspects, rung=rung))
        return self._found(claimed or (), models)

    def _look_ahead(self, batch: Batch) -> "Future[Batch] | None":
        """Begin what the ledger's thread does while this batch is judged."""
        if is_full(batch.events) and not batch.suspect and not self._unsure:
            judged, self._unsaved = self._unsaved, []
            return self._ahead.submit(self._turn, judged)
        self._save_rest()
        return None

    def _turn(self, judged: Sequence[Judged]) -> Batch:
        """On the ledger's thread: save the batch before, and claim the next in the same transaction."""
        if not judged:
            return self._take(suspects=False)
        models = self.models
        began = time.perf_counter()
        answer = self._persist("save", lambda: self._save_and_claim(judged))
        if answer is None:
            return Batch()
        ids, now, claimed = answer
        self._count(judged, ids, now, began)
        return self._found(claimed, models)

    def _found(self, claimed: Sequence[Event], models: Mapping[str, Model]) -> Batch:
        if not claimed:
            return Batch()
        self._pass_on(claimed)
        self._make_sure(claimed)
        began = time.perf_counter()
        found = self._persist("fetch", lambda: find(self.database, self.store, claimed))
        if found is None:  # asked to stop while the database was away; the leases go back when the process ends
            return Batch()
        batch = Batch(events=claimed, found=found, fetch_seconds=(time.perf_counter() - began) / len(claimed))
        return self._prepare(batch, models) if self._pool else batch

    def _claim(self, *, suspects: bool, rung: bool) -> list[Event]:
        with self._in_doubt():
            return claim(self.database, self.worker_id, queues=self.queues, suspects=suspects, rung=rung)

    def _save_and_claim(self, judged: Sequence[Judged]) -> tuple[set[int], datetime, list[Event]]:
        with self._in_doubt(), self.database.write() as (connection, now):
            ids = self._save_within(connection, now, judged)
            return ids, now, claim_within(connection, now, self.worker_id, queues=self.queues, suspects=False)

    @contextmanager
    def _in_doubt(self) -> Iterator[None]:
        """A claim that failed may have been committed all the same."""
        try:
            yield
        except Temporary:
            self._unsure = True
            raise

    def _release_strays(self) -> None:
        """A claim whose answer was lost with the database may have been committed: nobody would ever judge what it leased.

        Called when this worker has nothing in hand; so all that the ledger says it holds are strays.
        """
        if self._unsure and self._persist("claim", self._hand_back) is not None:
            self._unsure = False

    def _prepare(self, batch: Batch, models: Mapping[str, Model]) -> Batch:
        """Nothing is prepared where this worker was asked to stop while the bytes could not be had."""
        self._tell_stage(batch.events, "prepare")

        def prepare() -> list[Ready | Judged]:
            return prepare_all(batch.events, batch.found, models, self._pool, fetch_seconds=batch.fetch_seconds)

        return Batch(events=batch.events, done=self._persist("prepare", prepare) or ())

    def _judge(self, batch: Batch) -> list[Judged]:
        """Infer one batch, prepared first where that is left to this thread."""
        done = batch.done if batch.done is not None else self._prepare(batch, self.models).done
        if not done:
            return []
        self._tell_stage(batch.events, "infer")
        with self.stages.at("infer"):
            judged = [one for one in done if isinstance(one, Judged)]
            return judged + judge_all([one for one in done if isinstance(one, Ready)])

    def _save_rest(self) -> None:
        """Save what is judged and not yet saved; it is let go where this worker was asked to stop while the database was away."""
        judged, self._unsaved = self._unsaved, []
        if not judged:
            return
        began = time.perf_counter()
        answer = self._persist("save", lambda: self._save(judged))
        if answer is not None:
            self._count(judged, *answer, began)

    def _save(self, judged: Sequence[Judged]) -> tuple[set[int], datetime]:
        with self.database.write() as (connection, now):
            return self._save_within(connection, now, judged), now

    def _save_within(self, connection: sa.Connection, now: datetime, judged: Sequence[Judged]) -> set[int]:
        return save(connection, now, self.worker_id, judged, device=self.device, slot=self.slot, explained=self.explained())

    def _give_back(self, batch: Batch) -> None:
        if batch.events:
            self._persist("save", lambda: self._hand_back(batch.events))

    def _hand_back(self, events: Sequence[Event] | None = None) -> int:
        with self.database.write() as (connection, _):
            return hand_back(connection, self.worker_id, events)

    def _persist(self, stage: str, do: Callable[[], T]) -> T | None:
        """Try until the database, or the disk, is back; None when this worker was asked to stop before that.

        Each try has a deadline of its own: one that hangs ends the process, an outage, however long, does not.
        """
        while True:
            with self.stages.at(stage):
                try:
                    return do()
                except Temporary as error:
                    log.warning("waiting: %s", error)
                if self.stopping():
                    return None
                time.sleep(RETRY_SECONDS)

    def _pass_on(self, claimed: Sequence[Event]) -> None:
        """More may wait than this worker took (behind suspects, the others): let the next idle one hear of it."""
        if len(claimed) > 1 or claimed[0].suspect:
            self.bell.ring(queue_name(claimed[-1].modality, claimed[-1].lane), [])

    def _make_sure(self, claimed: Sequence[Event]) -> None:
        """A claim does not wait for the disk. That of suspects is durable before anything of them is touched.

        Else a machine that they bring down would forget that they were tried. The commit that tells their stage takes it along.
        """
        if any(event.suspect for event in claimed):
            self._persist("fetch", lambda: self._set_stage("fetch"))

    def _tell_stage(self, batch: Sequence[Event], stage: str) -> None:
        """Before each stage of one that is alone say so in the ledger: if the process dies now, this is where."""
        if any(event.alone for event in batch):
            self._persist(stage, lambda: self._set_stage(stage))

    def _set_stage(self, stage: str) -> None:
        with self.database.write() as (connection, _):
            set_stage(connection, self.worker_id, stage)

    def _count(self, judged: Sequence[Judged], ids: Collection[int], now: datetime, began: float) -> None:
        seconds = (time.perf_counter() - began) / len(judged)
        saved = [one for one in judged if one.event.id in ids]
        self._saved += len(saved)
        observe(self.measures, saved, now, seconds)
