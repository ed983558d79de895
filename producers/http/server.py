"""The HTTP port: a Starlette application of all routes, and uvicorn on a thread that serves it."""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from producers.door import Door
from producers.fhir.fetch import Fetcher
from producers.fhir.metadata import capability_statement
from producers.fhir.origins import Origins
from producers.fhir.poll import Polling
from producers.fhir.routes import FhirRoutes
from producers.fhir.servers import read_servers
from producers.http.body import FHIR_JSON, AnsweredError, answered
from producers.http.edge import Aside, Edge, Room
from producers.http.stow import StowRoutes
from producers.http.token import RequireToken, Tokens, check_bind
from stream.settings import BadSettingError

#: Seconds that a stop waits for requests under way, then for the thread.
GRACE_SECONDS = 5

#: More requests at once are answered 503 with Retry-After.
MAX_REQUESTS = 256

#: More connections at once, idle ones too, are answered 503 without further words.
MAX_CONNECTIONS = 1024

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>dxstream</title></head>
<body><h1>dxstream</h1>
<p>Research software, not a certified medical device.</p>
<ul>
<li><a href="/fhir/metadata">/fhir</a>: FHIR R4, Bundles and single resources are sent here</li>
<li>/dicom-web/studies: DICOMweb STOW-RS</li>
<li><a href="/healthz">/healthz</a>, <a href="/readyz">/readyz</a></li>
</ul></body></html>
"""


class Pages(Protocol):
    """What the port shows to people: an application of its own, which says for itself who may see it."""

    def takes(self, path: str) -> bool:
        """Whether a request's path is one of its own."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""


class HttpFeed:
    """FHIR, STOW-RS and health over HTTP. ``ready``: why the role cannot take anything in now, None when it can.

    ``pages``: what people look at on the same port; without it ``/`` only says what the port takes.
    """

    def __init__(
        self, door: Door, *, bind: str, port: int, token: str, ready: Callable[[], str | None], pages: Pages | None = None
    ) -> None:
        self.bind = bind
        self.port = port
        servers = read_servers(door.feeds.feed("fhir"), os.environ)
        self._tokens = Tokens(general=token, servers={one.name: one.sender_token for one in servers.values() if one.sender_token})
        origins = Origins(door, servers, Fetcher(servers).fetch)
        self._polling = Polling(origins)
        fhir = FhirRoutes(door, origins, self._polling.wake)
        self._app = make_app([*fhir.routes(), *StowRoutes(door).routes()], tokens=self._tokens, ready=ready, pages=pages)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen and serve; raises BadSettingError off loopback without a token, or when the port cannot be had."""
        check_bind(self.bind, self._tokens)
        listener = _listen(self.bind, self.port)
        self.port = listener.getsockname()[1]
        server = uvicorn.Server(_uvicorn_config(self._app))
        self._server = server
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
        self._thread.start()
        while not server.started and self._thread.is_alive():
            time.sleep(0.01)
        self._polling.start()

    def stop(self) -> None:
        """Answer the requests under way, then end."""
        self._polling.stop()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=2 * GRACE_SECONDS)


def make_app(feeds: Sequence[Route], *, tokens: Tokens, ready: Callable[[], str | None], pages: Pages | None = None) -> Starlette:
    """The application with the routes of the feeds and its own."""

    async def readyz(_: Request) -> Response:
        reason = await run_in_threadpool(ready)
        return PlainTextResponse(reason or "ready", 503 if reason else 200)

    routes = [
        Route("/", _page),
        Route("/healthz", _healthz),
        Route("/readyz", readyz),
        Route("/fhir/metadata", _metadata),
        *feeds,
    ]
    handlers: Any = {AnsweredError: _say_answered, HTTPException: _say_http, ClientDisconnect: _say_nothing}
    middleware = [Middleware(Edge), Middleware(Room, most=MAX_REQUESTS)]
    middleware += [Middleware(Aside, pages=pages)] if pages else []
    middleware.append(Middleware(RequireToken, tokens=tokens))
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)
    app.router.redirect_slashes = False  # senders of POST and PUT seldom follow
    return app


async def _page(_: Request) -> Response:
    return HTMLResponse(PAGE)


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("alive")


async def _metadata(_: Request) -> Response:
    return JSONResponse(capability_statement(), media_type=FHIR_JSON)


async def _say_answered(_: Request, error: AnsweredError) -> Response:
    return error.response()


async def _say_nothing(_: Request, __: ClientDisconnect) -> Response:
    """The sender went away in the middle of its body: nobody is left to read the answer."""
    return Response(status_code=400)


async def _say_http(_: Request, error: HTTPException) -> Response:
    """Starlette's own refusals (404, 405) in FHIR's words."""
    words = {404: ("not-found", "there is nothing at this address"), 405: ("not-supported", "this method is not taken here")}
    code, diagnostics = words.get(error.status_code, ("processing", "the request cannot be answered"))
    response = answered(error.status_code, code, diagnostics).response()
    response.headers.update(error.headers or {})
    return response


def _listen(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        listener = socket.create_server((bind, port), family=family, backlog=1024)
    except OSError as error:
        raise BadSettingError(f"HTTP port {port} cannot be opened ({error.strerror})") from error
    # Taken over by every connection; asyncio would not set it on these, and each answer would wait 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _uvicorn_config(app: Starlette) -> uvicorn.Config:
    """No access log, since addresses hold resource ids; no headers that say what serves."""
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,  # the peer is who it is: the pages trust a proxy by its own address
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
