"""One worker's process from start to end: load, warm up, enlist, hear rings, hand back."""

import logging
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from db.engine import Database
from db.leases import WorkerRow, end_worker, enlist
from db.tables import cards
from models.card import Card
from models.catalogue import list_cards, load
from models.model import Model
from stream.content import ContentStore
from stream.errors import Fatal, Temporary
from stream.queues import ALL_QUEUES
from stream.ring import Bell
from worker.app import asked_to_stop, consume, worker_app
from worker.device import Device, open_device
from worker.diagnose import Diagnosis
from worker.heartbeat import EXIT_LEASE_LOST, EXIT_UNEXPECTED, Heartbeat

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """What the front door says: ``name`` is the worker's slot, the same over restarts."""

    name: str
    device: Device
    redis_url: str
    content: Path
    models: Path
    queues: Sequence[str] = ALL_QUEUES
    threads: int = 1


def run_worker(database: Database, options: WorkerOptions) -> None:
    """Work until SIGTERM; raises Fatal when the device is missing or a model's golden case does not come out."""
    torch_device, device = open_device(options.device, threads=options.threads)
    models = load_models(active_cards(database, options.models), torch_device)
    diagnosis = Diagnosis(
        database=database,
        store=ContentStore(options.content),
        models=models,
        worker_id=_enlist(database, options, device),
        device=device,
        slot=options.name,
        bell=Bell(options.redis_url),
        stopping=asked_to_stop,
        queues=options.queues,
        prepare_threads=max(2, options.threads),
    )
    heartbeat = Heartbeat(
        database=database,
        worker_id=diagnosis.worker_id,
        slot=options.name,
        stages=diagnosis.stages,
        measures=diagnosis.measures,
        queues=options.queues,
    )
    heartbeat.start()
    log.info("worker %s is ready on %s with %s", options.name, device, ", ".join(model.card.name for model in models.values()))
    consume(worker_app(options.redis_url, options.queues, lambda: _hear(diagnosis)), options.name)
    diagnosis.close()
    heartbeat.stop()
    _leave(database, diagnosis.worker_id)


def _hear(diagnosis: Diagnosis) -> None:
    """Judge what waits. Whatever goes wrong here ends the process: a worker that lived on would hold its leases for ever.

    What it held is then tried alone, so that the culprit is found.
    """
    try:
        diagnosis.run()
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


def active_cards(database: Database, folder: Path) -> list[Card]:
    """The cards on this machine that the ledger says are active."""
    with database.read() as connection:
        active = set(connection.execute(sa.select(cards.c.digest).where(cards.c.active)).scalars())
    return [card for card in list_cards(folder) if card.digest in active]


def load_models(found: Iterable[Card], device: str) -> Mapping[str, Model]:
    """Digest → model, each warmed up by its golden case."""
    models = {card.digest: load(card, device) for card in found}
    for model in models.values():
        model.warm_up()
    return models
