"""One worker's process from start to end: load, warm up, enlist, hear rings, hand back."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.engine import Database
from db.leases import WorkerRow, end_worker, enlist
from models.card import Card
from models.catalogue import load
from models.interface import Model
from stream.content import ContentStore
from stream.errors import Fatal, Temporary
from stream.garbage import settle
from stream.memory import keep_memory
from stream.queues import ALL_QUEUES
from stream.ring import Bell
from worker.app import asked_to_stop, consume, worker_app
from worker.device import Device, open_device
from worker.diagnose import Diagnosis
from worker.explain import Explainer, is_explained
from worker.heartbeat import EXIT_LEASE_LOST, EXIT_UNEXPECTED, Heartbeat
from worker.loaded import Loaded

log = logging.getLogger(__name__)

#: A worker that has just judged hears the next ring itself if it comes so soon: 0.1 ms instead of Celery's 0.7 to 1.0.
LINGER_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What the front door says: ``name`` is the worker's slot, the same over restarts.

    ``runtime``: torch, openvino or onnx; ``explain``: on or off; either empty: as the site or the card has it.
    """

    name: str
    device: Device
    redis_url: str
    content: Path
    models: Path
    queues: Sequence[str] = ALL_QUEUES
    threads: int = 1
    runtime: str = ""
    explain: str = ""


def run_worker(database: Database, options: WorkerOptions) -> None:
    """Work until SIGTERM; raises Fatal when the device is missing or a model's golden case does not come out."""
    keep_memory()
    torch_device, device = open_device(options.device, threads=options.threads)
    loaded = Loaded(database=database, folder=options.models, load=lambda card: ready(card, torch_device, options.runtime))
    loaded.start()
    work(database, options, loaded.models, device, loaded)


def work(
    database: Database, options: WorkerOptions, models: Mapping[str, Model], device: str, loaded: Loaded | None = None
) -> None:
    """The same with models that are ready, by digest; ``device``: what predictions say of it. Knows no torch.

    ``loaded``: where they come from, so that they are renewed and what they say is explained.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until Celery listens to it; the lease is handed back then too
    worker_id = _enlist(database, options, device)
    try:
        _work(database, options, models, worker_id, device, loaded)
    finally:
        _leave(database, worker_id)


def _work(
    database: Database,
    options: WorkerOptions,
    models: Mapping[str, Model],
    worker_id: int,
    device: str,
    loaded: Loaded | None,
) -> None:
    diagnosis = Diagnosis(
        database=database,
        store=ContentStore(options.content),
        models=models,
        worker_id=worker_id,
        device=device,
        slot=options.name,
        bell=Bell(options.redis_url),
        stopping=asked_to_stop,
        queues=options.queues,
        prepare_threads=options.threads,
    )
    explainer = _explained(diagnosis, loaded, options) if loaded else None
    heartbeat = Heartbeat(
        database=database,
        worker_id=worker_id,
        slot=options.name,
        stages=diagnosis.stages,
        measures=diagnosis.measures,
        queues=options.queues,
        store=diagnosis.store,
    )
    heartbeat.start()
    with diagnosis.stages.at("fetch"):
        diagnosis.store.answers()  # where it hangs, this process ends before it has claimed anything
    log.info("worker %s is ready on %s with %s", options.name, device, ", ".join(model.card.name for model in models.values()))
    try:
        app = worker_app(options.redis_url, options.queues, lambda: _hear(diagnosis, explainer))
        settle()
        consume(app, options.name)
    finally:
        diagnosis.close()
        heartbeat.stop()


def _explained(diagnosis: Diagnosis, loaded: Loaded, options: WorkerOptions) -> Explainer:
    """Has the diagnosis use what is loaded, and gives what explains its predictions when nothing waits."""
    diagnosis.renew = loaded.renew
    diagnosis.explained = lambda: [
        digest for digest, model in diagnosis.models.items() if is_explained(model.card, options.explain)
    ]
    return Explainer(
        database=diagnosis.database,
        store=diagnosis.store,
        cards=lambda: [model.card for model in diagnosis.models.values()],
        load=load,  # on the processor, plain: gradients need torch, and the device is for what waits
        stopping=diagnosis.stopping,
        queues=options.queues,
        stages=diagnosis.stages,
    )


def _hear(diagnosis: Diagnosis, explainer: Explainer | None = None) -> None:
    """Judge what waits, and what is rung for soon after, then explain what was said.

    Whatever goes wrong here ends the process: a worker that lived on would hold its leases for ever.
    What it held is then tried alone, so that the culprit is found.
    """
    try:
        diagnosis.run()
        while not diagnosis.stopping():
            if diagnosis.bell.hear(diagnosis.queues, LINGER_SECONDS) or (explainer and not explainer.run()):
                diagnosis.run()
            else:
                return
    except Fatal as error:
        log.error("%s; this process ends", error)  # noqa: TRY400 - there is no trace worth keeping
        os._exit(EXIT_LEASE_LOST)
    except Exception:
        log.exception("an error that nobody expected; this process ends")
        os._exit(EXIT_UNEXPECTED)


def _enlist(database: Database, options: WorkerOptions, device: str) -> int:
    row = WorkerRow(name=options.name, device=device, host=socket.gethostname(), pid=os.getpid(), queues=",".join(options.queues))
    with database.write() as (connection, now):
        return enlist(connection, now, row)


def _leave(database: Database, worker_id: int) -> None:
    """Hand back what is still leased; a keeper does it where the database is away."""
    try:
        with database.write() as (connection, now):
            end_worker(connection, now, worker_id, crashed=False)
    except Temporary as error:
        log.warning("the leases run out by themselves: %s", error)


def ready(card: Card, device: str, runtime: str = "") -> Model:
    """A card's model, as fast as it may be, warmed up by its golden case; raises BadCard or Fatal."""
    from models.fast import speed_up  # noqa: PLC0415 - loads torch

    model = load(card, device)
    speed_up(model, runtime)
    model.warm_up()
    return model
