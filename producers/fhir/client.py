"""One GET from a configured server: no redirect is followed, the answer's size and the whole time are bounded.

Nothing but the server's own addresses is asked, so that no resource can make us speak to another machine.
"""

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from producers.fhir.gzipped import TooLargeError, unzip
from producers.fhir.servers import Server
from stream.errors import Temporary

#: Waiting for one packet, in seconds.
PACKET_SECONDS = 10.0

_PORTS = {"http": 80, "https": 443}

#: Answers that will be other ones later: too many requests, and all faults of the server.
_LATER = (408, 425, 429)


class AwayError(Temporary):
    """The server cannot be had now. ``after``: the seconds that it asked to wait, 0 when it did not say."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``kind``: the media type in lower case, without parameters; those are in ``parameters``."""

    status: int
    kind: str
    parameters: str
    body: bytes


def address_on(server: Server, written: str) -> str:
    """The full address of a link or a reference as seen from a server's base; empty when it leads elsewhere."""
    try:
        full = urljoin(f"{server.url}/", written)
        asked, base = urlsplit(full), urlsplit(server.url)
        same = _origin(asked) == _origin(base) and not (asked.username or asked.password)
    except ValueError:
        return ""
    steps = unquote(asked.path).replace("\\", "/").split("/")
    inside = asked.path == base.path or asked.path.startswith(f"{base.path}/")
    plain = full.isascii() and full.isprintable() and " " not in full
    return full if same and inside and plain and ".." not in steps else ""


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or ""), parts.port or _PORTS.get(parts.scheme, 0)


def get(server: Server, address: str, *, accept: str, limit: int, seconds: float) -> Answer:
    """Ask for an address that ``address_on`` gave. Raises AwayError, TooLargeError, and Refused for gzip that is none."""
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=min(PACKET_SECONDS, seconds))
    headers = {"Accept": accept, **({"Authorization": f"Bearer {server.token}"} if server.token else {})}
    try:
        connection.connect()
        with _ended_after(connection.sock, seconds):
            connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl(), headers=headers)
            with connection.getresponse() as response:
                body = response.read(limit + 1)
                cut_off = bool(response.length) and len(body) <= limit
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AwayError(f"the server cannot be had ({type(error).__name__})") from None
    finally:
        connection.close()
    if cut_off:
        raise AwayError("the server's answer was cut off")
    return _checked(response.status, response.headers, body, limit)


def _checked(status: int, headers: Message, body: bytes, limit: int) -> Answer:
    if status >= http.client.INTERNAL_SERVER_ERROR or status in _LATER:
        after = headers.get("Retry-After", "")
        raise AwayError(f"the server answers {status}", float(after) if after.isdecimal() else 0.0)
    if len(body) > limit:
        raise TooLargeError("the server's answer is too large")
    kind, _, parameters = headers.get("Content-Type", "").lower().partition(";")
    if headers.get("Content-Encoding", "").lower() == "gzip":
        body = unzip(body, limit)
    return Answer(status=status, kind=kind.strip(), parameters=parameters, body=body)


@contextmanager
def _ended_after(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Time-outs of a socket are for each packet: a server that sends a byte a second is ended by the clock."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(OSError):  # it ended by itself in this moment
            connected.shutdown(socket.SHUT_RDWR)

    clock = threading.Timer(seconds, end)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()
    if late.is_set():
        raise TimeoutError
