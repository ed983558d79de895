"""What lies behind an ``attachment.url``, fetched from servers that the configuration lists for it and from nowhere else."""

import re
import threading
import time

from producers.fhir.around import AttachmentAwayError, Fetched, NoTextError
from producers.fhir.attachment import read_base64
from producers.fhir.client import Answer, AwayError, address_on, get
from producers.fhir.elements import element, read_json, text
from producers.fhir.failing import Failing
from producers.fhir.servers import Server, Servers
from stream.errors import Refused, Temporary

#: The most bytes of one attachment: text and HTML of documents are far smaller.
MOST_BYTES = 8 * 2**20

#: One fetch may take so long, in seconds; while it does, its sender waits for an answer.
FETCH_SECONDS = 10.0

#: So many at the same time; those that find no place within PLACE_SECONDS are told to come again, since each holds a thread.
AT_ONCE = 4
PLACE_SECONDS = 1.0

_BINARY = ("application/fhir+json", "application/json+fhir")


#: How an address begins that says by itself where it leads (RFC 3986); every other one is relative, whatever stands behind.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Fetcher:
    """Gives ``Around.fetch`` for a set of servers."""

    def __init__(self, servers: Servers) -> None:
        self._servers = [server for server in servers.values() if server.attachments]
        self._failing = Failing()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def fetch(self, address: str, source: str, kind: str) -> Fetched | None:
        """The bytes behind an address, a relative one on ``source``; None when it is on none of the servers.

        Raises NoTextError for what is not there, too large, of another media type or given up; AttachmentAwayError when it
        cannot be had now, Temporary when too many are being fetched.
        """
        found = self._place(address, source)
        if found is None:
            return None
        server, full = found
        if not self._failing.is_due(full, time.monotonic()):
            raise AttachmentAwayError("the attachment could not be had a moment ago")
        if not self._places.acquire(timeout=PLACE_SECONDS):
            raise Temporary("too many attachments are being fetched")
        try:
            return self._ask(server, full, kind)
        except Refused as error:
            raise NoTextError(f"attachment cannot be fetched: {error.reason}") from None
        finally:
            self._places.release()

    def _ask(self, server: Server, address: str, kind: str) -> Fetched:
        """Raises AttachmentAwayError, and Refused for what will never be had or could not be had for too long."""
        accept = f"{kind}, application/fhir+json;q=0.5"
        try:
            answer = get(server, address, accept=accept, limit=MOST_BYTES, seconds=FETCH_SECONDS)
        except AwayError as error:
            if self._failing.failed(address, time.monotonic()):
                raise Refused(str(error)) from None
            raise AttachmentAwayError(str(error)) from None
        self._failing.fetched(address)
        return _read(answer, kind)

    def _place(self, address: str, source: str) -> tuple[Server, str] | None:
        relative = _SCHEME.match(address) is None
        for server in self._servers:
            full = address_on(server, address) if not relative or source == server.url else ""
            if full:
                return server, full
        return None


def _read(answer: Answer, kind: str) -> Fetched:
    """The bytes themselves, or those inside a Binary resource; raises Refused."""
    if answer.status != 200:
        raise Refused(f"the server answers {answer.status}")
    if answer.kind in _BINARY:
        binary = read_json(answer.body)
        inside = element({"binary": binary}, "binary")
        stated = text(inside, "contentType").lower().partition(";")
        if stated[0].strip() == kind and text(inside, "data"):
            return Fetched(body=read_base64(text(inside, "data"), ""), parameters=stated[2])
    if answer.kind != kind:
        raise Refused("its media type is another one")
    return Fetched(body=answer.body, parameters=answer.parameters)
