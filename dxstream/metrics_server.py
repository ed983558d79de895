"""A small HTTP server for Prometheus: ``/metrics``, ``/healthz``, ``/readyz``; of the installation, or of one process."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from stream.errors import Temporary
from stream.settings import BadSettingError, Settings

#: Whoever connects and says nothing, or takes nothing, for so long has no thread any more, in seconds.
SILENT_SECONDS = 30.0

#: What a check of readiness gives: None, or why not.
Check = Callable[[], str | None]


class MetricsServer:
    """Serves one collector on one port; ``port`` is the real one when 0 was asked for."""

    def __init__(self, bind: str, port: int, collector: Collector, ready: Check) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        self._server = ThreadingHTTPServer((bind, port), _answerer(registry, ready))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class Process(Collector):
    """What one process says of itself: memory, CPU time, open files, and what else it is given. Never of the ledger."""

    def __init__(self, *more: Collector) -> None:
        self._parts = (ProcessCollector(registry=None), *more)

    def describe(self) -> list[Metric]:
        """Nothing beforehand."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Of all parts."""
        for part in self._parts:
            yield from part.collect()


def serve_process(settings: Settings, *more: Collector) -> MetricsServer | None:
    """Where DXSTREAM_PROCESS_METRICS_PORT is set: a page of this process alone, for service discovery over several hosts."""
    if not settings.process_metrics_port:
        return None
    try:
        server = MetricsServer(settings.bind, settings.process_metrics_port, Process(*more), lambda: None)
    except OSError as error:
        port = settings.process_metrics_port
        raise BadSettingError(f"DXSTREAM_PROCESS_METRICS_PORT: port {port} cannot be had ({error.strerror})") from error
    server.start()
    return server


def _answerer(registry: CollectorRegistry, ready: Check) -> type[BaseHTTPRequestHandler]:
    class Answerer(BaseHTTPRequestHandler):
        """Three pages."""

        timeout = SILENT_SECONDS

        def do_GET(self) -> None:  # the library's own name
            """Answer with the page, 503 when the database is away, 404 for any other path."""
            page = _PAGES.get(self.path.split("?")[0])
            code, kind, body = page(registry, ready) if page else (404, "text/plain", b"/metrics /healthz /readyz\n")
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each scrape."""

    return Answerer


def _metrics(registry: CollectorRegistry, _: Check) -> tuple[int, str, bytes]:
    try:
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
    except Temporary as error:
        return 503, "text/plain", f"{error}\n".encode()


def _healthy(_: CollectorRegistry, __: Check) -> tuple[int, str, bytes]:
    return 200, "text/plain", b"ok\n"


def _ready(_: CollectorRegistry, ready: Check) -> tuple[int, str, bytes]:
    try:
        reason = ready()
    except Temporary as error:
        reason = str(error)
    return (503, "text/plain", f"{reason}\n".encode()) if reason else (200, "text/plain", b"ok\n")


_PAGES = {"/metrics": _metrics, "/healthz": _healthy, "/readyz": _ready}
