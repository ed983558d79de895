"""The outermost edge of the HTTP port: a fault of ours is answered and logged without what was sent."""

import logging
import traceback

from starlette.types import ASGIApp, Receive, Scope, Send

from producers.http.body import answered

log = logging.getLogger(__name__)


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
