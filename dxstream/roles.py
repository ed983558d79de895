"""One process, one role: the intake with its feeds, a worker, or the keeper with ``/metrics``."""

import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import RedisError

from db.cards import active_rows, record_cards
from db.engine import FOR_WORKERS, Database
from db.migrate import upgrade
from db.slots import Slot
from dxstream.home import content_folder
from dxstream.metrics_server import Check, MetricsServer, serve_process
from models.card import CARD_FILE, Card
from models.catalogue import plain_cards
from producers.door import Door
from producers.intake import Intake
from producers.writer_apart import WriteApart
from stream.content import ContentStore
from stream.errors import Temporary
from stream.feeds import FeedsConfig
from stream.garbage import settle
from stream.identity import Identities, read_hash_key
from stream.memory import return_memory
from stream.metrics import Measures
from stream.ring import Bell, RingThread
from stream.rounds import one_round
from stream.settings import BadSettingError, Settings
from worker.device import parse_devices
from worker.exposition import Ledger, keeper_ready
from worker.exposition_machine import Devices
from worker.keeper import Keeper, lab_window

log = logging.getLogger(__name__)

#: How long a role waits for the database when it starts, in seconds.
PATIENCE = 60.0
#: How often the intake brings its histograms and refusals into the ledger, in seconds.
WRITE_SECONDS = 2.0


def open_database(settings: Settings, *, worker: bool = False) -> Database:
    """The ledger, at the newest migration, with this installation's cards made known; waits for a database that is away."""
    database = Database(settings.database_url, FOR_WORKERS if worker else {})
    end = time.monotonic() + PATIENCE
    while True:
        try:
            upgrade(database)
            rows = [card_row(card) for card in plain_cards(settings.models)]
            with database.write() as (connection, now):
                record_cards(connection, now, rows)
        except Temporary as error:
            if time.monotonic() > end:
                raise
            log.warning("waiting for the database: %s", error)
            time.sleep(1)
        else:
            return database


def look_at_redis(bell: Bell) -> None:
    """Say so where it may drop rings: no event is lost by that, but its work begins late, whenever the keeper rings again."""
    try:
        policy = bell.eviction()
    except RedisError:
        return  # one that is away is waited for
    if policy:
        log.warning("Redis may drop rings: its maxmemory-policy is %s; CONFIG SET maxmemory-policy noeviction", policy)


def card_row(card: Card) -> dict[str, Any]:
    """The row that makes a card known to the ledger."""
    content = json.loads((card.folder / CARD_FILE).read_text(encoding="utf-8"))
    return {"name": card.name, "version": card.version, "modality": card.kind, "digest": card.digest, "card": content}


def wait_for_end() -> None:
    """Until SIGTERM or Ctrl-C."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    asked.wait()


def run_intake(settings: Settings, feeds: Collection[str], *, slot: str) -> None:
    """Serve these feeds (``dicom``, ``hl7``, ``http``, ``folder``) behind one committer until asked to stop."""
    return_memory()
    config = FeedsConfig(settings.config)
    config.check()
    database = open_database(settings)
    measures = Measures()
    ring = RingThread(Bell(settings.redis_url))
    with database.read() as connection:
        window, _ = lab_window(active_rows(connection))
    apart = len(os.sched_getaffinity(0)) > 1  # on one core a second process only costs
    writer = WriteApart(database, slot=slot, window=window) if apart else None
    intake = Intake(database, ring, measures, slot=slot, window=window, writer=writer)
    identities = Identities(read_hash_key(settings.home, settings.hash_key), config.authorities)
    store = ContentStore(content_folder(settings))
    with suppress(Temporary):  # without the disk the feeds refuse what comes, in their own words
        store.make()
    door = Door(intake=intake, store=store, identities=identities, feeds=config)
    ring.start()
    intake.start()
    serving = [start(settings, door) for name, start in _FEEDS.items() if name in feeds]
    reporter = _Reporter(database, intake, measures, slot)
    reporter.start()
    serve_process(settings)
    settle()
    log.info("the intake is ready: %s", ", ".join(feeds))
    wait_for_end()
    for feed in serving:
        feed.stop()
    intake.stop()
    ring.stop()
    reporter.stop()


def _listening(variable: str, feed: Any) -> Any:
    """Start a feed; a port that cannot be had is named by its variable."""
    try:
        feed.start()
    except OSError as error:
        raise BadSettingError(f"{variable}: port {feed.port} cannot be had ({error.strerror})") from error
    log.info("listening: %s port=%d", variable.removeprefix("DXSTREAM_").lower(), feed.port)
    return feed


def _start_dicom(settings: Settings, door: Door) -> Any:
    from producers.dicom.feed import DicomFeed  # noqa: PLC0415 - each feed's libraries only where it is served

    return _listening(
        "DXSTREAM_DICOM_PORT", DicomFeed(door, bind=settings.bind, port=settings.dicom_port, ae_title=settings.ae_title)
    )


def _start_hl7(settings: Settings, door: Door) -> Any:
    from producers.hl7.mllp import MllpFeed  # noqa: PLC0415

    return _listening("DXSTREAM_MLLP_PORT", MllpFeed(door, bind=settings.bind, port=settings.mllp_port))


def _start_http(settings: Settings, door: Door) -> Any:
    from producers.http.server import HttpFeed  # noqa: PLC0415

    pages = _console(settings, door)
    ready = intake_ready(door)
    feed = HttpFeed(door, bind=settings.bind, port=settings.http_port, token=settings.http_token, ready=ready, pages=pages)
    return _listening("DXSTREAM_HTTP_PORT", feed)


def _console(settings: Settings, door: Door) -> Any:
    """The console, or None where it must not start: then the feeds alone are served, and the log says why."""
    from console.app import Console  # noqa: PLC0415

    try:
        console = Console(settings, door.store)
    except BadSettingError as error:
        log.warning("%s", error)
        return None
    console.start()
    return console


def _start_folder(settings: Settings, door: Door) -> Any:
    from dxstream.inbox import folder_feed  # noqa: PLC0415

    feed = folder_feed(settings, door)
    feed.start()
    return feed


_FEEDS: dict[str, Callable[[Settings, Door], Any]] = {
    "dicom": _start_dicom,
    "hl7": _start_hl7,
    "http": _start_http,
    "folder": _start_folder,
}


def intake_ready(door: Door) -> Callable[[], str | None]:
    """A check of the intake's role: the store has room and the database answers. It does not depend on workers."""

    def check() -> str | None:
        if not door.intake.is_alive():
            return "the committer has died"
        try:
            door.store.check_space()
            with door.intake.database.read() as connection:
                connection.exec_driver_sql("SELECT 1")
        except Temporary as error:
            return str(error)
        return None

    return check


class _Reporter:
    """Brings the intake's histograms, refusals and the time of each feed's last input into the ledger."""

    def __init__(self, database: Database, intake: Intake, measures: Measures, slot: str) -> None:
        self.database, self.intake, self.measures = database, intake, measures
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slot", daemon=True)
        with database.read() as connection:
            self._slot = Slot(connection, slot)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write a last time."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(WRITE_SECONDS):
            with one_round("the intake's reporter"):
                self._write()
        self._write()

    def _write(self) -> None:
        name = "dxstream_feed_last_received_timestamp_seconds"
        heard = [[name, {"feed": feed}, at] for feed, at in self.intake.last_received.items()]
        self.intake.write_refusals()
        try:
            with self.database.write() as (connection, now):
                self._slot.write(connection, now, self.measures.samples() + heard)
        except Temporary as error:
            log.warning("the intake's measures wait: %s", error)


def run_keeper(settings: Settings) -> None:
    """Keep the ledger and serve ``/metrics``, ``/healthz`` and ``/readyz`` until asked to stop."""
    database = open_database(settings)
    bell = Bell(settings.redis_url)
    look_at_redis(bell)
    keeper = Keeper(database, bell, ContentStore(content_folder(settings)), keep=settings.keep)
    server = _metrics_server(settings, Ledger(database, bell, places=disk_places(settings)), keeper_ready(database))
    server.start()
    sweeping = threading.Thread(target=_or_die, args=(keeper.run,), name="keeper", daemon=True)
    sweeping.start()
    settle()
    log.info("the keeper is ready")
    wait_for_end()
    keeper.stop.set()
    sweeping.join(timeout=10)
    server.stop()


def disk_places(settings: Settings) -> dict[str, Path]:
    """What lies on disks that this machine sees."""
    places = {"content": content_folder(settings)}
    if settings.database_url.startswith("sqlite:///"):
        places["database"] = Path(settings.database_url.removeprefix("sqlite:///")).parent
    return places


def _metrics_server(settings: Settings, ledger: Ledger, ready: Check) -> MetricsServer:
    try:
        return MetricsServer(settings.bind, settings.metrics_port, ledger, ready)
    except OSError as error:
        raise BadSettingError(f"DXSTREAM_METRICS_PORT: port {settings.metrics_port} cannot be had ({error.strerror})") from error


def _or_die(run: Callable[[], None]) -> None:
    """A thread whose death is the process's: a supervisor starts it again, and nobody waits for a dead keeper."""
    try:
        run()
    except BaseException:
        log.exception("the keeper's thread died; this process ends")
        os._exit(1)


def run_worker_role(settings: Settings, device: str, *, queues: Collection[str], name: str = "", threads: int = 0) -> None:
    """Work on one device until asked to stop. Torch is imported only here, after the device is pinned."""
    (chosen,) = parse_devices(device)
    os.environ.update(chosen.environment)
    from worker.process import WorkerOptions, run_worker  # noqa: PLC0415 - loads torch

    options = WorkerOptions(
        name=name or f"{socket.gethostname()}-{chosen.name}",
        device=chosen,
        redis_url=settings.redis_url,
        content=Path(content_folder(settings)),
        models=settings.models,
        queues=tuple(queues),
        threads=threads or os.cpu_count() or 1,
        runtime=settings.runtime,
        explain=settings.explain,
    )
    database = open_database(settings, worker=True)
    look_at_redis(Bell(settings.redis_url))
    serve_process(settings, Devices())
    run_worker(database, options)
