"""Who may speak to the HTTP port: on loopback anyone, elsewhere only who knows the token."""

import hmac

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from producers.http.body import answered
from stream.settings import BadSettingError

LOOPBACK = ("127.0.0.1", "::1", "localhost")

#: Routes that answer without a token: what supervises the process has none.
OPEN_PATHS = ("/healthz", "/readyz")


def check_bind(bind: str, token: str) -> None:
    """Raises BadSettingError when the port could be reached from outside without a token."""
    if bind not in LOOPBACK and not token:
        raise BadSettingError("DXSTREAM_BIND is not loopback, so DXSTREAM_HTTP_TOKEN must be set")


class RequireToken:
    """ASGI middleware: every route but OPEN_PATHS needs ``Authorization: Bearer <token>``; without a token set, none does."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.expected = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != "http" or not self.expected or scope["path"] in OPEN_PATHS or self._knows(Request(scope)):
            await self.app(scope, receive, send)
        else:
            refusal = answered(401, "login", "a bearer token is needed", WWW_Authenticate='Bearer realm="dxstream"')
            await refusal.response()(scope, receive, send)

    def _knows(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode("latin-1", "replace"), self.expected)
