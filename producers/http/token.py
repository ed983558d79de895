"""Who may speak to the HTTP port: on loopback anyone, elsewhere only who knows the token."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from producers.http.body import answered
from stream.settings import BadSettingError

LOOPBACK = ("127.0.0.1", "::1", "localhost")

#: Routes that answer without a token: what supervises the process has none.
OPEN_PATHS = ("/healthz", "/readyz")

#: The routes of the FHIR feed.
FHIR = "/fhir/"


#: Where the middleware writes the name of the FHIR server whose token was shown; empty for the general token, or none.
SENDER = "dxstream.sender"


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """``general`` opens every route; those of ``servers``, by the server's name, open /fhir alone and say who is speaking."""

    general: str = field(default="", repr=False)
    servers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.general or self.servers)

    def sender(self, given: bytes, path: str) -> str | None:
        """Whose token this is: empty for the general one; None when it opens nothing here."""
        found = "" if self.general and hmac.compare_digest(given, self.general.encode()) else None
        for name, token in self.servers.items():
            if hmac.compare_digest(given, token.encode()) and f"{path}/".startswith(FHIR) and found is None:
                found = name
        return found


def check_bind(bind: str, tokens: Tokens) -> None:
    """Raises BadSettingError when the port could be reached from outside without a token."""
    if bind not in LOOPBACK and not tokens:
        raise BadSettingError("DXSTREAM_BIND is not loopback, so DXSTREAM_HTTP_TOKEN must be set")


class RequireToken:
    """ASGI middleware: every route but OPEN_PATHS needs ``Authorization: Bearer <token>``; without a token set, none does."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self.app = app
        self.tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its sender's name, or answer 401."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and self.tokens:
            sender = self.tokens.sender(_given(Request(scope)), scope["path"])
            if sender is None:
                refusal = answered(401, "login", "a bearer token is needed", WWW_Authenticate='Bearer realm="dxstream"')
                await refusal.response()(scope, receive, send)
                return
            scope[SENDER] = sender
        await self.app(scope, receive, send)


def _given(request: Request) -> bytes:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
