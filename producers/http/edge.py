"""The outermost edge of the HTTP port: a fault of ours is answered and logged without what was sent; a crowd is turned away."""

import logging
import traceback
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from producers.http.body import answered
from producers.http.token import OPEN_PATHS

log = logging.getLogger(__name__)

#: After so many seconds there should be room again.
BUSY_SECONDS = 2


class Edge:
    """ASGI middleware: what no route expected becomes 500; the log says where it happened, never with which values."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        try:
            await self.app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - a traceback would show a patient's values in the log
            frame = traceback.extract_tb(error.__traceback__)[-1]
            log.error("a request failed: error=%s file=%s line=%s", type(error).__name__, frame.filename, frame.lineno)  # noqa: TRY400
            await answered(500, "exception", "a fault of ours; it was logged").response()(scope, receive, send)


class Room:
    """ASGI middleware: so many requests at once; one more is answered 503 with the time after which to come again."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on while there is room; what supervises the process always has some."""
        if scope["type"] == "http" and self._inside >= self.most and scope["path"] not in OPEN_PATHS:
            busy = answered(503, "throttled", "too many requests at once: try again later", Retry_After=str(BUSY_SECONDS))
            await busy.response()(scope, receive, send)
            return
        self._inside += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._inside -= 1


class Aside:
    """ASGI middleware: requests for the pages that people look at go there; those know their visitors, not the senders' tokens."""

    def __init__(self, app: ASGIApp, pages: Any) -> None:
        self.app = app
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, here or there."""
        aside = scope["type"] == "http" and self.pages.takes(scope["path"])
        await (self.pages if aside else self.app)(scope, receive, send)
