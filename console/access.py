"""Who may look and who may act: a token that is typed in, or the user that a trusted proxy names; else only look, on loopback."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field

from stream.settings import BadSettingError, Settings

COOKIE = "dxstream_console"
#: How long somebody stays signed in, in seconds.
SESSION_SECONDS = 12 * 3600
#: Wrong tokens within a minute, from anywhere; then nobody is let in until the minute is over.
MOST_FAILURES = 10
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """``name`` empty: somebody unknown, who may look where ``may_look``. ``csrf``: what forms of this visitor must carry."""

    name: str = ""
    may_look: bool = False
    csrf: str = ""

    @property
    def may_act(self) -> bool:
        """Whether this visitor's deeds can be recorded under a name."""
        return bool(self.name)


@dataclass
class Access:
    """The rules of one console. Raises BadSettingError where everybody could look in from outside."""

    settings: Settings
    _key: bytes = field(default=b"", repr=False)
    _failures: list[float] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        if not self.settings.on_loopback and not self.guarded:
            raise BadSettingError(
                "the console does not start: DXSTREAM_BIND is not loopback, so DXSTREAM_CONSOLE_TOKEN (or DXSTREAM_HTTP_TOKEN), "
                "or DXSTREAM_CONSOLE_USER_HEADER with DXSTREAM_CONSOLE_PROXIES, must be set"
            )
        self._proxies = _networks(self.settings.console_proxies)
        token = self.settings.console_token
        self._key = hashlib.sha256(b"dxstream console " + token.encode()).digest() if token else secrets.token_bytes(32)

    @property
    def guarded(self) -> bool:
        """Whether anybody must say who they are before they see anything."""
        return bool(self.settings.console_token or self.settings.console_user_header)

    @property
    def takes_token(self) -> bool:
        """Whether somebody can sign in by a token."""
        return bool(self.settings.console_token)

    def visitor(self, headers: Mapping[str, str], cookies: Mapping[str, str], peer: str) -> Visitor:
        """Who this is, by the proxy's header, else by the cookie that signing in gave."""
        name = self._named_by_proxy(headers, peer) or self._named_by_cookie(cookies.get(COOKIE, ""))
        if name:
            return Visitor(name=name, may_look=True, csrf=self._sign(b"form", name.encode()))
        return Visitor(may_look=not self.guarded and _is_loopback_host(headers.get("host", "")))

    def sign_in(self, name: str, token: str) -> str | None:
        """The cookie of this person; None when the token is wrong or too many were."""
        now = time.monotonic()
        self._failures = [at for at in self._failures if now - at < 60]
        if len(self._failures) >= MOST_FAILURES:
            return None
        if not self.takes_token or not hmac.compare_digest(token.encode(), self.settings.console_token.encode()):
            self._failures.append(now)
            return None
        body = urlsafe_b64encode(f"{int(time.time()) + SESSION_SECONDS} {name}".encode()).decode()
        return f"{body}.{self._sign(b'session', body.encode())}"

    def form_is_ours(self, visitor: Visitor, given: str, headers: Mapping[str, str]) -> bool:
        """A form of our own page, sent by this visitor and not by a page of somebody else's."""
        origin = headers.get("origin", "")
        same = not origin or origin.partition("://")[2] == headers.get("host", "")
        return same and bool(visitor.csrf) and hmac.compare_digest(given.encode(), visitor.csrf.encode())

    def _named_by_proxy(self, headers: Mapping[str, str], peer: str) -> str:
        header = self.settings.console_user_header
        if not header or not _is_in(peer, self._proxies):
            return ""
        return _clean(headers.get(header.lower(), ""))

    def _named_by_cookie(self, cookie: str) -> str:
        body, _, signature = cookie.partition(".")
        if not self.takes_token or not hmac.compare_digest(signature.encode(), self._sign(b"session", body.encode()).encode()):
            return ""
        try:
            until, _, name = urlsafe_b64decode(body).decode().partition(" ")
        except (Base64Error, UnicodeDecodeError):
            return ""
        return _clean(name) if until.isdigit() and int(until) > time.time() else ""

    def _sign(self, purpose: bytes, what: bytes) -> str:
        return hmac.new(self._key, purpose + b"\0" + what, hashlib.sha256).hexdigest()


def _clean(name: str) -> str:
    """A name of printable characters, 80 at the most."""
    return "".join(one for one in name if one.isprintable()).strip()[:80]


def _is_loopback_host(host: str) -> bool:
    """A page of another name that points here (DNS rebinding) must not read what loopback alone may."""
    name = host.rpartition(":")[0] if not host.endswith("]") and host.rpartition(":")[2].isdigit() else host
    return name in _LOOPBACK_HOSTS


def _networks(text: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    try:
        return [ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip()]
    except ValueError as error:
        raise BadSettingError("DXSTREAM_CONSOLE_PROXIES holds what is no address and no network") from error


def _is_in(peer: str, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in one for one in networks)
