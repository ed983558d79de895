"""Polling: each configured server is read by ``_lastUpdated`` on a thread of its own, from where the last commit left off.

A cursor a server and type moves only after the ledger's commit of what was read. Each poll begins OVERLAP before it, since a
server may show a change later than it dated it; what was read before is passed over, and is one input in any case.
"""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from db.cursors import move_cursor, read_cursor
from producers.fhir.bundle import read_entries
from producers.fhir.client import AwayError, address_on, get
from producers.fhir.elements import Element, element, elements, read_json, resource_type, text
from producers.fhir.gzipped import TooLargeError
from producers.fhir.origins import Origins
from producers.fhir.page import Page, parse_page
from producers.fhir.resource import check_object
from producers.fhir.servers import Server
from producers.fhir.times import last_updated
from stream.arrival import Arrival
from stream.errors import DxstreamError, Refused, Temporary, Unwritable

log = logging.getLogger(__name__)

#: So far before the cursor each poll begins.
OVERLAP = timedelta(seconds=60)

#: Resources asked for in one page, the most bytes of one, the most pages of one poll of one type.
PAGE_RESOURCES = 200
PAGE_BYTES = 32 * 2**20
MOST_PAGES = 10_000

#: One page may take so long, in seconds.
PAGE_SECONDS = 60.0

#: Waiting for the ledger, in seconds.
COMMIT_SECONDS = 60.0

#: The longest pause while a server is away, in seconds.
MOST_PAUSE = 300.0

#: Between two polls at least, however often a server notifies, in seconds.
LEAST_PAUSE = 1.0


class Poller:
    """Reads one server."""

    def __init__(self, origins: Origins, server: Server) -> None:
        self.server = server
        self._origins = origins
        self._intake = origins.door.intake
        self._zone = origins.around().feed.time_zone
        self._seen: dict[str, dict[str, datetime]] = {}  # type → digest of a resource → its lastUpdated
        self._page_resources = PAGE_RESOURCES
        self._next = ""
        self._failures = 0
        self._ending = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"poll-{server.name}", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def stop(self) -> None:
        """End after the request under way."""
        self._ending.set()
        self._woken.set()
        self._thread.join(timeout=5)

    def wake(self) -> None:
        """The server said that something changed: poll now."""
        self._woken.set()

    def poll(self) -> int:
        """Read all types once; gives the number of resources that were new to this process.

        A type that cannot be read does not stop the others. Raises Refused or Temporary when none could be read.
        """
        number = 0
        failures: list[DxstreamError] = []
        for kind in self.server.types:
            try:
                number += self._poll_type(kind)
            except AwayError:
                raise
            except (Refused, Temporary) as error:
                failures.append(error)
                log.warning("not polled: feed=fhir server=%s type=%s reason=%s", self.server.name, kind, error)
        self._resize(failures)
        if len(failures) == len(self.server.types):
            raise failures[0]
        return number

    def _resize(self, failures: Sequence[DxstreamError]) -> None:
        """Ask for smaller pages after one that was too large, for larger ones again when all went well."""
        if any(isinstance(error, TooLargeError) for error in failures):
            self._page_resources = max(self._page_resources // 4, 1)
        elif not failures:
            self._page_resources = min(2 * self._page_resources, PAGE_RESOURCES)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._woken.clear()
            pause = self._try()
            self._ending.wait(LEAST_PAUSE)
            self._woken.wait(max(pause - LEAST_PAUSE, 0.0))

    def _try(self) -> float:
        """Poll; gives the seconds until the next time, more after each failure."""
        try:
            number = self.poll()
        except Exception as error:  # noqa: BLE001 - the thread's outer edge: without it nobody reads this server any more
            return self._after(error)
        if self._failures or number:
            log.info("polled: feed=fhir server=%s resources=%d", self.server.name, number)
        self._failures = 0
        return self.server.every_seconds

    def _after(self, error: Exception) -> float:
        """How long to leave the server alone, in seconds."""
        self._failures = min(self._failures + 1, 20)
        asked = error.after if isinstance(error, AwayError) else 0.0
        longest = max(MOST_PAUSE, self.server.every_seconds)
        pause = min(max(self.server.every_seconds * 2.0 ** (self._failures - 1), asked), longest)
        reason = str(error) if isinstance(error, DxstreamError) else type(error).__name__
        log.warning("not polled: feed=fhir server=%s pause=%.0f reason=%s", self.server.name, pause, reason)
        return pause

    def _poll_type(self, kind: str) -> int:
        """Read a type page by page, and move its cursor after each page that followed the order that was asked for.

        It does not move past a resource whose attachment cannot be had, so that this is read again; all others are taken.
        """
        newest = self._begin(kind)
        address = self._first_address(kind, newest)
        ordered, number, held, visited = True, 0, 0, set[str]()
        while address:
            self._check_goes_on(address, visited)
            resources = self._read_page(address)
            page = self._take(resources, kind)
            number, held = number + len(page.arrivals), held + page.held
            moments = [moment for one in resources if (moment := last_updated(one, self._zone))]
            ordered = ordered and moments == sorted(moments) and (not moments or moments[0] >= newest - OVERLAP)
            # A server whose clock is ahead must not hide what it dates right later.
            newest = min(max([newest, *moments]), datetime.now(UTC))
            address = self._next
            if not held and (ordered or not address):
                self._move(kind, newest)
        if held:
            log.warning("held back: feed=fhir server=%s type=%s resources=%d reason=attachment", self.server.name, kind, held)
        return number

    def _check_goes_on(self, address: str, visited: set[str]) -> None:
        """Raises Temporary when this poll must end here."""
        if self._ending.is_set():
            raise Temporary("the role is ending")
        if address in visited or len(visited) >= MOST_PAGES:
            raise Temporary("the server's pages do not end")
        visited.add(address)

    def _begin(self, kind: str) -> datetime:
        with self._intake.database.read() as connection:
            cursor = read_cursor(connection, self._cursor(kind))
        return cursor or datetime.now(UTC) - timedelta(days=self.server.since_days)

    def _cursor(self, kind: str) -> str:
        return f"fhir:{self.server.name}:{kind}"

    def _first_address(self, kind: str, begin: datetime) -> str:
        since = (begin - OVERLAP).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        asked = {"_lastUpdated": f"ge{since}", "_sort": "_lastUpdated", "_count": str(self._page_resources)}
        return f"{self.server.url}/{kind}?{urlencode(asked)}"

    def _read_page(self, address: str) -> list[Element]:
        """The resources of a page, and the next page's address in ``_next``; raises Refused, Temporary."""
        answer = get(self.server, address, accept="application/fhir+json", limit=PAGE_BYTES, seconds=PAGE_SECONDS)
        if answer.status != 200:
            raise Temporary(f"the server answers {answer.status}")
        page = check_object(read_json(answer.body))
        if resource_type(page) != "Bundle":
            raise Refused("the server's answer is no Bundle")
        link = next((text(link, "url") for link in elements(page, "link") if text(link, "relation") == "next"), "")
        self._next = address_on(self.server, link) if link else ""
        if link and not self._next:
            raise Refused("the next page is not on this server")
        return [element(entry, "resource") for entry in read_entries(page)]

    def _take(self, resources: Sequence[Element], kind: str) -> Page:
        """Submit what is new of a page and wait for its commit; raises Temporary when that cannot be had."""
        seen = self._seen.setdefault(kind, {})
        page = parse_page(resources, kind, self._origins.around(self.server.name), seen)
        self._commit(page.arrivals)
        seen.update(page.fresh)
        return page

    def _commit(self, arrivals: Sequence[Arrival]) -> None:
        submitted = [(arrival, self._intake.submit(arrival)) for arrival in arrivals]
        deadline = time.monotonic() + COMMIT_SECONDS
        for arrival, answer in submitted:
            try:
                answer.result(max(deadline - time.monotonic(), 0.0))
            except Unwritable as error:
                content = arrival.content.data or self._origins.door.store.get(arrival.content.digest)
                self._intake.keep_unwritable(arrival.feed, error, content)
                log.warning("not kept: feed=fhir server=%s reason=%s", self.server.name, error.reason)
            except TimeoutError:
                raise Temporary("the ledger does not answer") from None

    def _move(self, kind: str, position: datetime) -> None:
        """All before ``position`` is committed; what the next poll will not see again need not be known any longer."""
        with self._intake.database.write() as (connection, now):
            move_cursor(connection, now, self._cursor(kind), position)
        begin = position - OVERLAP
        self._seen[kind] = {digest: moment for digest, moment in self._seen.get(kind, {}).items() if moment >= begin}


class Polling:
    """All pollers of the role; without polled servers it does nothing."""

    def __init__(self, origins: Origins) -> None:
        self._pollers = {name: Poller(origins, server) for name, server in origins.servers.items() if server.types}

    def start(self) -> None:
        """Begin to poll every server."""
        for poller in self._pollers.values():
            poller.start()

    def stop(self) -> None:
        """End every poller."""
        for poller in self._pollers.values():
            poller.stop()

    def wake(self, name: str) -> bool:
        """Poll a server at once; False when it is none that is polled."""
        poller = self._pollers.get(name)
        if poller:
            poller.wake()
        return poller is not None
