"""The life of a batch: claim, fetch, prepare, infer, save; the next one is prepared while the device is busy."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from db.claim import claim, fetch
from db.engine import Database
from db.leases import set_stage
from db.save import hand_back, save
from models.model import Model
from stream.content import ContentStore
from stream.errors import Temporary
from stream.event import Event, Judged, NotPredicted, Predicted
from stream.metrics import Measures
from stream.queues import ALL_QUEUES, queue_name
from stream.ring import Bell
from worker.infer import judge_all
from worker.prepare import Ready, prepare_all
from worker.stages import Stages

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Between two tries to reach a database that is away, in seconds.
RETRY_SECONDS = 0.5


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Events claimed together: those ready for the device and those that already have a verdict."""

    ready: Sequence[Ready] = ()
    judged: Sequence[Judged] = ()

    @property
    def events(self) -> list[Event]:
        """All of them."""
        return [one.event for one in self.ready] + [one.event for one in self.judged]

    @property
    def alone(self) -> bool:
        """Whether this is a suspect, which has the process to itself."""
        return any(event.alone for event in self.events)


@dataclass(kw_only=True)
class Diagnosis:
    """What one worker's process needs to judge; ``stopping`` says whether it was asked to end."""

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

    def __post_init__(self) -> None:
        """Threads that decode, and one that works ahead of the device."""
        self._pool = ThreadPoolExecutor(self.prepare_threads, thread_name_prefix="prepare")
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="ahead")

    def run(self) -> int:
        """Judge until nothing waits or this worker is asked to stop; returns how many events were saved.

        Raises Fatal when the lease or the device is lost.
        """
        saved = 0
        ahead: Future[Batch] | None = None
        try:
            while not self.stopping():
                batch = ahead.result() if ahead else Batch()
                ahead = None
                if not batch.events:
                    batch = self._take(suspects=True)
                if not batch.events:
                    break
                if not batch.alone:
                    ahead = self._ahead.submit(self._take, suspects=False)
                saved += self._judge(batch)
        finally:
            if ahead:
                self._give_back(ahead.result())
        return saved

    def close(self) -> None:
        """End the threads."""
        self._ahead.shutdown()
        self._pool.shutdown()

    def _take(self, *, suspects: bool) -> Batch:
        """Claim, fetch and prepare one batch."""
        with self.stages.at("claim"):
            claimed = self._persist(lambda: claim(self.database, self.worker_id, queues=self.queues, suspects=suspects))
        if not claimed:
            return Batch()
        self._pass_on(claimed)
        self._tell_stage(claimed, "fetch")
        began = time.perf_counter()
        with self.stages.at("fetch"):
            found = self._persist(lambda: fetch(self.database, self.store, claimed))
        if found is None:  # asked to stop while the database was away; the leases go back when the process ends
            return Batch()
        fetch_seconds = (time.perf_counter() - began) / len(claimed)
        self._tell_stage(claimed, "prepare")
        with self.stages.at("prepare"):
            done = prepare_all(claimed, found, self.models, self._pool, fetch_seconds=fetch_seconds)
        return Batch(
            ready=[one for one in done if isinstance(one, Ready)],
            judged=[one for one in done if isinstance(one, Judged)],
        )

    def _judge(self, batch: Batch) -> int:
        """Infer and save one batch."""
        self._tell_stage(batch.events, "infer")
        with self.stages.at("infer"):
            judged = [*batch.judged, *judge_all(batch.ready)]
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
            return save(connection, now, self.worker_id, judged, device=self.device, slot=self.slot), now

    def _give_back(self, batch: Batch) -> None:
        def give() -> int:
            with self.database.write() as (connection, _):
                return hand_back(connection, self.worker_id, batch.events)

        if batch.events:
            self._persist(give)

    def _persist(self, do: Callable[[], T]) -> T | None:
        """Try until the database is back; None when this worker was asked to stop before that."""
        while True:
            try:
                return do()
            except Temporary as error:
                log.warning("waiting for the database: %s", error)
                if self.stopping():
                    return None
                time.sleep(RETRY_SECONDS)

    def _pass_on(self, claimed: Sequence[Event]) -> None:
        """More may wait than this worker took: let the next idle one hear of it."""
        if len(claimed) > 1:
            self.bell.ring(queue_name(claimed[-1].modality, claimed[-1].lane), [])

    def _tell_stage(self, batch: Sequence[Event], stage: str) -> None:
        """Before each stage of a suspect say so in the ledger: if the process dies now, this is where."""
        if any(event.alone for event in batch):
            with self.database.write() as (connection, _):
                set_stage(connection, self.worker_id, stage)

    def _observe(self, judged: Sequence[Judged], now: datetime, save_seconds: float) -> None:
        sizes: dict[str, int] = {}
        for one in judged:
            event = one.event
            sizes[event.modality] = sizes.get(event.modality, 0) + 1
            seconds = {**one.seconds, "gather": event.gather_seconds or 0.0, "wait": event.waited_seconds, "save": save_seconds}
            for stage, value in seconds.items():
                self.measures.observe("dxstream_stage_seconds", value, modality=event.modality, stage=stage)
            if isinstance(one.verdict, Predicted | NotPredicted):
                self._observe_latency(event, now)
        for modality, size in sizes.items():
            self.measures.observe("dxstream_batch_size", size, modality=modality)

    def _observe_latency(self, event: Event, now: datetime) -> None:
        latency = (now - event.received_at).total_seconds()
        self.measures.observe("dxstream_latency_seconds", latency, modality=event.modality, lane=event.lane)
        if event.acquired_at:
            turnaround = (now - event.acquired_at).total_seconds()
            self.measures.observe("dxstream_turnaround_seconds", turnaround, modality=event.modality)
