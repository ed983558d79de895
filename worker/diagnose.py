"""The life of a batch: claim, fetch, prepare, infer, save; the next one is prepared while the device is busy."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from db.claim import Found, claim, find, is_full
from db.engine import Database
from db.leases import set_stage
from db.save import hand_back, save
from models.interface import Model
from stream.content import ContentStore
from stream.errors import Temporary
from stream.event import Event, Judged, NotPredicted, Predicted
from stream.metrics import Measures
from stream.queues import ALL_QUEUES, queue_name
from stream.ring import Bell
from worker.infer import judge_all
from worker.prepare import Ready, prepare_all
from worker.stages import Stages
from worker.tell import tell

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Between two tries to reach a database that is away, in seconds.
RETRY_SECONDS = 0.5


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
        """Threads that decode, and one that works ahead of the device.

        A worker that has one core for all claims and fetches ahead, and prepares in its main thread: two threads that share
        a core take turns at the interpreter, which cost a scan a tenth of its time (docs/decisions/0016).
        """
        self._pool = ThreadPoolExecutor(self.prepare_threads, thread_name_prefix="prepare") if self.prepare_threads > 1 else None
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._unsure = False  # whether a claim may have been committed without our knowing

    def run(self) -> int:
        """Judge until nothing waits or this worker is asked to stop; returns how many events were saved.

        The next batch is claimed ahead only behind a full one: else it would be a small one while more is on its way.
        Raises Fatal when the lease or the device is lost.
        """
        saved = 0
        rung = True
        ahead: Future[Batch] | None = None
        try:
            while not self.stopping():
                self._renew()
                batch = ahead.result() if ahead else Batch()
                ahead = None
                if not batch.events:
                    self._release_strays()
                    batch = self._take(suspects=True, rung=rung)
                    rung = False
                if not batch.events:
                    if self._unsure:
                        continue
                    break
                if is_full(batch.events) and not batch.suspect and not self._unsure:
                    ahead = self._ahead.submit(self._take, suspects=False)
                saved += self._judge(batch)
        finally:
            if ahead:
                self._give_back(ahead.result())
        return saved

    def close(self) -> None:
        """End the threads."""
        self._ahead.shutdown()
        if self._pool:
            self._pool.shutdown()

    def _renew(self) -> None:
        """Answer with the cards that are active now; a batch that was prepared ahead keeps the model that it was prepared for."""
        with self.stages.at("load"):
            self.models = self.renew() or self.models

    def _take(self, *, suspects: bool, rung: bool = False) -> Batch:
        """Claim and fetch one batch, and prepare it where there are threads for that."""
        models = self.models  # others may become active meanwhile
        with self.stages.at("claim"):
            claimed = self._persist(lambda: self._claim(suspects=suspects, rung=rung))
        if not claimed:
            return Batch()
        self._pass_on(claimed)
        self._tell_stage(claimed, "fetch")
        began = time.perf_counter()
        with self.stages.at("fetch"):
            found = self._persist(lambda: find(self.database, self.store, claimed))
        if found is None:  # asked to stop while the database was away; the leases go back when the process ends
            return Batch()
        batch = Batch(events=claimed, found=found, fetch_seconds=(time.perf_counter() - began) / len(claimed))
        return self._prepare(batch, models) if self._pool else batch

    def _claim(self, *, suspects: bool, rung: bool) -> list[Event]:
        try:
            return claim(self.database, self.worker_id, queues=self.queues, suspects=suspects, rung=rung)
        except Temporary:
            self._unsure = True
            raise

    def _release_strays(self) -> None:
        """A claim whose answer was lost with the database may have been committed: nobody would ever judge what it leased.

        Called when this worker has nothing in hand; so all that the ledger says it holds are strays.
        """

        def give() -> int:
            with self.database.write() as (connection, _):
                return hand_back(connection, self.worker_id)

        if self._unsure and self._persist(give) is not None:
            self._unsure = False

    def _prepare(self, batch: Batch, models: Mapping[str, Model]) -> Batch:
        """Nothing is prepared where this worker was asked to stop while the bytes could not be had."""
        self._tell_stage(batch.events, "prepare")
        with self.stages.at("prepare"):
            seconds = batch.fetch_seconds
            done = self._persist(lambda: prepare_all(batch.events, batch.found, models, self._pool, fetch_seconds=seconds))
        return Batch(events=batch.events, done=done or ())

    def _judge(self, batch: Batch) -> int:
        """Infer and save one batch, prepared first where that is left to this thread."""
        done = batch.done if batch.done is not None else self._prepare(batch, self.models).done
        if not done:
            return 0
        self._tell_stage(batch.events, "infer")
        with self.stages.at("infer"):
            judged = [one for one in done if isinstance(one, Judged)]
            judged += judge_all([one for one in done if isinstance(one, Ready)])
        began = time.perf_counter()
        with self.stages.at("save"):
            answer = self._persist(lambda: self._save(judged))
        if answer is None:
            return 0
        saved, now = answer
        self._observe([one for one in judged if one.event.id in saved], now, (time.perf_counter() - began) / len(judged))
        return len(saved)

    def _save(self, judged: Sequence[Judged]) -> tuple[set[int], datetime]:
        with self.database.write() as (connection, now):
            ids = save(connection, now, self.worker_id, judged, device=self.device, slot=self.slot, explained=self.explained())
            return ids, now

    def _give_back(self, batch: Batch) -> None:
        def give() -> int:
            with self.database.write() as (connection, _):
                return hand_back(connection, self.worker_id, batch.events)

        if batch.events:
            self._persist(give)

    def _persist(self, do: Callable[[], T]) -> T | None:
        """Try until the database, or the disk, is back; None when this worker was asked to stop before that."""
        while True:
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

    def _tell_stage(self, batch: Sequence[Event], stage: str) -> None:
        """Before each stage of one that is alone say so in the ledger: if the process dies now, this is where."""
        if any(event.alone for event in batch):
            self._persist(lambda: self._set_stage(stage))

    def _set_stage(self, stage: str) -> None:
        with self.database.write(durable=False) as (connection, _):
            set_stage(connection, self.worker_id, stage)

    def _observe(self, judged: Sequence[Judged], now: datetime, save_seconds: float) -> None:
        """The batch's stages, latencies and sizes, a modality at a time; then single events in the log."""
        for modality in {one.event.modality for one in judged}:
            mine = [one for one in judged if one.event.modality == modality]
            self.measures.observe("dxstream_batch_size", len(mine), modality=modality)
            stages = {
                **{stage: [one.seconds[stage] for one in mine if stage in one.seconds] for stage in ("fetch", "prepare", "infer")},
                "gather": [one.event.gather_seconds or 0.0 for one in mine],
                "wait": [one.event.waited_seconds for one in mine],
                "save": [save_seconds] * len(mine),
            }
            for stage, values in stages.items():
                if values:
                    self.measures.observe_all("dxstream_stage_seconds", values, modality=modality, stage=stage)
            self._observe_latency(modality, [one.event for one in mine if isinstance(one.verdict, Predicted | NotPredicted)], now)
        for one in judged:
            tell(one, now)

    def _observe_latency(self, modality: str, done: Sequence[Event], now: datetime) -> None:
        for lane in {event.lane for event in done}:
            latencies = [(now - event.received_at).total_seconds() for event in done if event.lane == lane]
            self.measures.observe_all("dxstream_latency_seconds", latencies, modality=modality, lane=lane)
        turnarounds = [(now - event.acquired_at).total_seconds() for event in done if event.acquired_at]
        if turnarounds:
            self.measures.observe_all("dxstream_turnaround_seconds", turnarounds, modality=modality)
