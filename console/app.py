"""The console as an ASGI application: which address is which view, who may come in, and what no browser may do with it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from console import backlog, cards, event, events, now, patient, signing, trouble
from console.access import Access
from console.pulse import Pulse
from console.site import HERE, Asked, NotFound, Site, View
from db.engine import Database
from stream.content import ContentStore
from stream.errors import Broken, Temporary
from stream.settings import Settings

log = logging.getLogger(__name__)

#: Views at once, so that lookers never take the threads or the connections that senders need.
AT_ONCE = 6
#: A form's greatest body, in bytes.
MOST_FORM = 256 * 1024

LOOK: Mapping[str, View] = {
    "/": now.now,
    "/live/now": now.live,
    "/events": events.events,
    "/events/{id:int}": event.event,
    "/events/{id:int}/image.png": event.image,
    "/events/{id:int}/samples": event.samples,
    "/events/{id:int}/heat.png": event.heat,
    "/patients": patient.patients,
    "/patients/{key}": patient.patient,
    "/dead": trouble.dead,
    "/models": cards.models,
    "/backlog": backlog.backlog,
    "/live/backlog": backlog.live,
}
ACT: Mapping[str, View] = {
    "/dead/confirm": trouble.confirm,
    "/dead/act": trouble.act,
    "/backlog/act": backlog.act,
    "/sign-out": signing.sign_out,
}
STATIC = ("console.css", "console.js", "icon.svg")

#: Nothing is loaded from anywhere else, nothing is run that stands in a page, and no other page may hold this one.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FIRST = frozenset(path.split("/")[1] for path in (*LOOK, *ACT, "/sign-in", "/console"))


class Console:
    """Raises BadSettingError where it must not start. ``takes`` says which requests of the port are its own."""

    def __init__(self, settings: Settings, store: ContentStore) -> None:
        access = Access(settings)
        database = Database(settings.database_url)  # connections of its own
        self.site = Site(settings=settings, database=database, store=store, access=access, pulse=Pulse(database))
        self._app = _application(self.site)

    def start(self) -> None:
        """Begin to take the pulse."""
        self.site.pulse.start()

    def stop(self) -> None:
        """End, and give back the connections."""
        self.site.pulse.stop()
        self.site.database.close()

    def takes(self, path: str) -> bool:
        """Whether a request's path is one of the console's."""
        return path.split("/")[1:2] in [[first] for first in _FIRST]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)


def _application(site: Site) -> ASGIApp:
    room = anyio.CapacityLimiter(AT_ONCE)
    routes = [Route(path, _look(site, view, room), methods=["GET"]) for path, view in LOOK.items()]
    routes += [Route(path, _act(site, view, room), methods=["POST"]) for path, view in ACT.items()]
    routes += [Route("/sign-in", _sign_in(site, room), methods=["GET", "POST"]), Route("/console/{name}", _static)]
    app = Starlette(routes=routes, exception_handlers={404: _nothing(site), 405: _nothing(site)})
    app.router.redirect_slashes = False
    return _Headers(app)


class _Headers:
    """ASGI middleware: ``HEADERS`` on every answer, and no cache unless the view said so."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                more = HEADERS if b"cache-control" in given else {**HEADERS, "Cache-Control": "no-store"}
                message["headers"] = [
                    *message["headers"],
                    *[(name.lower().encode(), value.encode()) for name, value in more.items()],
                ]
            await send(message)

        await self.app(scope, receive, with_headers)


def _asked(site: Site, request: Request, form: Mapping[str, list[str]] | None = None) -> Asked:
    peer = request.client.host if request.client else ""
    return Asked(
        path=request.url.path,
        visitor=site.access.visitor(request.headers, request.cookies, peer),
        place=request.path_params,
        query=request.query_params,
        form=form or {},
        headers=request.headers,
    )


def _look(site: Site, view: View, room: anyio.CapacityLimiter) -> Any:
    async def endpoint(request: Request) -> Response:
        asked = _asked(site, request)
        if not asked.visitor.may_look:
            return _turned_away(site, asked, request)
        return await anyio.to_thread.run_sync(_answer, site, view, asked, limiter=room)

    return endpoint


def _turned_away(site: Site, asked: Asked, request: Request) -> Response:
    if site.access.takes_token and not asked.path.startswith("/live/"):
        onward = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?to={quote(onward, safe='')}", 303)
    why = "sign in first" if site.access.guarded else "open this page by the name localhost or the address 127.0.0.1"
    return site.page("refused.html", asked, status=401 if site.access.guarded else 403, title="Not open to you", why=why)


def _act(site: Site, view: View, room: anyio.CapacityLimiter) -> Any:
    async def endpoint(request: Request) -> Response:
        asked = _asked(site, request, await _form(request))
        if not asked.visitor.may_act:
            return site.page(
                "refused.html", asked, status=403, title="Read-only", why="nobody is signed in, so nothing can be done here"
            )
        if not site.access.form_is_ours(asked.visitor, asked.one("csrf"), request.headers):
            return site.page(
                "refused.html", asked, status=403, title="Not done", why="this form is too old or not of this page: load it again"
            )
        return await anyio.to_thread.run_sync(_answer, site, view, asked, limiter=room)

    return endpoint


def _sign_in(site: Site, room: anyio.CapacityLimiter) -> Any:
    async def endpoint(request: Request) -> Response:
        posted = request.method == "POST"
        asked = _asked(site, request, await _form(request) if posted else None)
        view = signing.sign_in if posted else signing.sign_in_page
        return await anyio.to_thread.run_sync(_answer, site, view, asked, limiter=room)

    return endpoint


async def _form(request: Request) -> dict[str, list[str]]:
    """The fields of a form; empty when it is longer than any of ours."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM:
            return {}
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=5000)
    except ValueError:
        return {}


def _answer(site: Site, view: View, asked: Asked) -> Response:
    """A view's page; an expected fault in words, never with a value."""
    try:
        return view(site, asked)
    except (NotFound, Broken) as error:
        return site.page("refused.html", asked, status=404, title="Not found", why=str(error))
    except Temporary as error:
        return site.page("refused.html", asked, status=503, title="Not now", why=str(error))


def _nothing(site: Site) -> Any:
    async def say(request: Request, _: Exception) -> Response:
        return site.page(
            "refused.html", _asked(site, request), status=404, title="Not found", why="there is nothing at this address"
        )

    return say


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("there is no such file", 404)
    return FileResponse(Path(HERE) / "static" / name, headers={"Cache-Control": "no-cache"})
