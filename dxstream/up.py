"""Everything on this machine: Redis, the intake, the keeper and a worker a device, supervised, in one session."""

import logging
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from db.engine import Database
from db.leases import end_earlier
from db.report import live_workers
from dxstream.embedded_redis import redis_child, wait_for_redis
from dxstream.free_port import free_port
from dxstream.home import held, write_addresses
from dxstream.processes import Child
from dxstream.roles import open_database
from stream.errors import DxstreamError, Temporary
from stream.modules import module_command
from stream.settings import Settings
from worker.device import Device, parse_devices

log = logging.getLogger(__name__)

#: How long everything may take to come up, in seconds; a worker loads torch and every model.
PATIENCE = 120.0
#: The fields of Settings that are ports.
PORTS = ("dicom_port", "mllp_port", "http_port", "metrics_port")

#: How often the children are looked at, in seconds.
WATCH_SECONDS = 0.2


@dataclass
class Installation:
    """All processes of one home. ``quiet``: their logs go to files of the home instead of standard error."""

    settings: Settings
    quiet: bool = False
    asked_to_stop: threading.Event = field(default_factory=threading.Event)
    children: list[Child] = field(default_factory=list)
    _database: Database | None = None

    @property
    def database(self) -> Database:
        """The ledger, once everything has started."""
        if self._database is None:
            raise DxstreamError("the ledger is not open yet")
        return self._database

    def start(self) -> None:
        """Start everything and wait until it is ready, or until it is asked to stop; raises DxstreamError."""
        self.settings = with_ports(self.settings)
        self._start_redis()
        self._database = open_database(self.settings)
        write_addresses(self.settings, pid=os.getpid())
        self._add("intake", "serve", "all")
        self._add("keeper", "keeper")
        devices = parse_devices(self.settings.devices)
        threads = max(1, (os.cpu_count() or 1) // len(devices))
        for device in devices:
            self._add_worker(device, threads)
        self._wait(lambda: all(map(self._is_ready, (self.settings.http_port, self.settings.metrics_port))), "the ports")
        self._wait(lambda: self._working() >= len(devices), "the workers")

    def watch(self) -> None:
        """Start what dies again, until it is asked to stop."""
        while not self.asked_to_stop.wait(WATCH_SECONDS):
            for child in self.children:
                child.watch()

    def stop(self) -> None:
        """Drain: no more input, then the workers finish their batches, then the rest; Redis last."""
        for group in (("intake",), ("worker",), ("keeper",), ("redis",)):
            ending = [child for child in self.children if child.name.startswith(group)]
            for child in ending:
                child.ask_to_stop()
            for child in ending:
                child.wait()
        if self._database:
            self._database.close()

    def _start_redis(self) -> None:
        if not self.settings.redis_url:
            port = free_port()
            self.settings = replace(self.settings, redis_url=f"redis://127.0.0.1:{port}/0")
            child = redis_child(self.settings.home, port, self._log("redis"))
            child.start()
            self.children.append(child)
        wait_for_redis(self.settings.redis_url)

    def _add(self, name: str, *arguments: str, died: Callable[[], None] = lambda: None, **environment: str) -> None:
        child = Child(
            name=name,
            command=module_command("dxstream", *arguments),
            environment={**self._environment(), **environment},
            log_file=self._log(name),
            died=died,
        )
        child.start()
        self.children.append(child)

    def _add_worker(self, device: Device, threads: int) -> None:
        arguments = ["worker", "--device", device.kind, "--name", device.name, "--threads", str(threads)]
        threads_of_libraries = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        release = self._release(device.name)
        self._add(f"worker {device.name}", *arguments, died=release, **device.environment, **threads_of_libraries)

    def _environment(self) -> dict[str, str]:
        one = self.settings
        values = {"HOME": one.home, "REDIS_URL": one.redis_url, "DATABASE_URL": one.database_url, "HASH_KEY": one.hash_key}
        values |= {"DICOM_PORT": one.dicom_port, "MLLP_PORT": one.mllp_port, "HTTP_PORT": one.http_port}
        values |= {"METRICS_PORT": one.metrics_port, "AE_TITLE": one.ae_title, "BIND": one.bind, "HTTP_TOKEN": one.http_token}
        values |= {"CONSOLE_TOKEN": one.console_token, "CONSOLE_USER_HEADER": one.console_user_header}
        values |= {"CONSOLE_PROXIES": one.console_proxies}
        values |= {"INBOX": one.inbox, "CONFIG": one.config, "MODELS": one.models, "LOG_FORMAT": one.log_format}
        return {f"DXSTREAM_{name}": str(value) for name, value in values.items()} | {"PYTHONUNBUFFERED": "1"}

    def _log(self, name: str) -> Path | None:
        if not self.quiet:
            return None
        folder = self.settings.home / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name.replace(' ', '-')}.log"

    def _release(self, name: str) -> Callable[[], None]:
        """What a dead worker held comes free at once, not when its lease runs out."""

        def release() -> None:
            try:
                with self.database.write() as (connection, now):
                    end_earlier(connection, now, name=name, host=socket.gethostname())
            except Temporary as error:
                log.warning("the leases of %s run out by themselves: %s", name, error)

        return release

    def _is_ready(self, port: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://{_reach(self.settings.bind)}:{port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _working(self) -> int:
        """How many of these workers hold a lease; a former run's may still hold theirs for some seconds."""
        mine = {child.process.pid for child in self.children if child.process}
        with self.database.read() as connection:
            return sum(
                worker["alive"] and worker["pid"] in mine for worker in live_workers(connection, self.database.now(connection))
            )

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.asked_to_stop.is_set() and not ready():
            ended = [child.name for child in self.children if child.process and child.process.poll() is not None]
            if ended:
                raise DxstreamError(f"{ended[0]} ended while it started; its log says why")
            if time.monotonic() > end:
                raise DxstreamError(f"{what} did not come up within {PATIENCE:.0f} s")
            time.sleep(0.1)


def _reach(bind: str) -> str:
    """The address under which this machine reaches a port bound to ``bind``."""
    return "127.0.0.1" if bind == "0.0.0.0" else bind  # noqa: S104 - compared, not bound


def with_ports(settings: Settings) -> Settings:
    """A port of 0 becomes a free one, chosen once, so that a process that is started again listens where it did before."""
    chosen = {name: free_port() for name in PORTS if getattr(settings, name) == 0}
    return replace(settings, **chosen)  # type: ignore[arg-type] # names of ports only


def addresses(settings: Settings) -> dict[str, str]:
    """What to connect to, in words → address."""
    host = _reach(settings.bind)
    return {
        f"DICOM C-STORE, AE title {settings.ae_title}": f"{host}:{settings.dicom_port}",
        "HL7 v2 over MLLP": f"{host}:{settings.mllp_port}",
        "FHIR R4": f"http://{host}:{settings.http_port}/fhir",
        "DICOMweb STOW-RS": f"http://{host}:{settings.http_port}/dicom-web/studies",
        "console": f"http://{host}:{settings.http_port}/",
        "watched folder": str(settings.inbox),
        "Prometheus": f"http://{host}:{settings.metrics_port}/metrics",
        "database": settings.database_url if settings.database_url.startswith("sqlite") else "DXSTREAM_DATABASE_URL",
    }


def run_up(settings: Settings, show: Callable[[dict[str, str]], None]) -> None:
    """Start everything, show the addresses, run until SIGTERM or Ctrl-C, then drain."""
    with held(settings.home):
        installation = Installation(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: installation.asked_to_stop.set())
        try:
            installation.start()
            if not installation.asked_to_stop.is_set():
                show(addresses(installation.settings))
            installation.watch()
        finally:
            installation.stop()
