"""A started HTTP port, a FHIR server of the tests' own, and resources as a hospital's server sends them."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import sqlalchemy as sa

from producers.door import Door
from producers.http.server import HttpFeed

SERVER = "http://ehr.example/fhir"
HOSPITAL_NUMBER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
NOTE = "Operative report: laparoscopic appendectomy under general anaesthesia, no complications."


@contextmanager
def running_http(door: Door, *, token: str = "", ready: Callable[[], str | None] = lambda: None) -> Iterator[httpx.Client]:
    """A client of a real server on a free loopback port."""
    feed = HttpFeed(door, bind="127.0.0.1", port=0, token=token, ready=ready)
    feed.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{feed.port}", timeout=60, trust_env=False) as client:
            yield client
    finally:
        feed.stop()


def patient(**more: Any) -> dict[str, Any]:
    """Born 1950, known by a medical record number."""
    identifiers = [{"system": "urn:other", "value": "X9"}, {"type": HOSPITAL_NUMBER, "system": "urn:oid:1.2.3", "value": "0815"}]
    return {"resourceType": "Patient", "id": "p1", "identifier": identifiers, "birthDate": "1950-06-01", "gender": "female"} | more


def observation(**more: Any) -> dict[str, Any]:
    """Sodium, 140 mmol/L, with the patient's number in its subject."""
    return {
        "resourceType": "Observation",
        "id": "na1",
        "status": "final",
        "code": loinc("2951-2"),
        "subject": {"identifier": {"type": HOSPITAL_NUMBER, "system": "urn:oid:1.2.3", "value": "0815"}},
        "effectiveDateTime": "2026-03-01T08:00:00+01:00",
        "valueQuantity": quantity(140, "mmol/L"),
    } | more


def document(**more: Any) -> dict[str, Any]:
    """An operative report in plain text."""
    return {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "docStatus": "final",
        "type": loinc("11504-8"),
        "subject": {"identifier": {"type": HOSPITAL_NUMBER, "system": "urn:oid:1.2.3", "value": "0815"}},
        "date": "2026-03-01T08:00:00Z",
        "content": [{"attachment": attachment(NOTE)}],
    } | more


def attachment(words: str, kind: str = "text/plain") -> dict[str, Any]:
    """Base64 with its content type."""
    return {"contentType": kind, "language": "en", "data": base64.b64encode(words.encode()).decode()}


def encounter(**more: Any) -> dict[str, Any]:
    """A stay under way whose second location is on the shipped list of intensive care units."""
    ward = {"location": {"display": "Ward 3"}, "period": {"start": "2026-03-01T06:00:00Z"}}
    intensive = {"location": {"display": "micu"}, "period": {"start": "2026-03-01T09:00:00Z"}}
    return {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "in-progress",
        "class": {"code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-03-01T06:00:00Z"},
        "location": [intensive, ward],
    } | more


def loinc(code: str) -> dict[str, Any]:
    """A CodeableConcept."""
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def quantity(value: Any, unit: str, **more: Any) -> dict[str, Any]:
    """A Quantity in UCUM."""
    return {"value": value, "unit": unit, "code": unit, "system": "http://unitsofmeasure.org"} | more


def bundle(kind: str, *resources: dict[str, Any], urls: tuple[str, ...] = ()) -> dict[str, Any]:
    """A Bundle; without ``urls`` each entry has an address on SERVER."""
    addresses = urls or tuple(f"{SERVER}/{one.get('resourceType')}/{one.get('id')}" for one in resources)
    entries = [{"fullUrl": url, "resource": one} for url, one in zip(addresses, resources, strict=True)]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def rows(door: Door, table: sa.Table) -> list[dict[str, Any]]:
    """A table of the ledger, by id."""
    with door.intake.database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).order_by(table.c.id)).mappings()]


class ForeignServer:
    """A FHIR server over real HTTP: ``_lastUpdated``, ``_sort``, ``_count``, pages by snapshots that a restart loses.

    ``answers``: statuses that it gives before it works again. ``slow``: seconds before each answer. ``sorts``: whether it
    heeds ``_sort``. ``elsewhere``: the next page is on another machine. ``files``: path → (media type, bytes).
    """

    def __init__(self) -> None:
        self.held: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.tokens: list[str] = []
        self.answers: list[int] = []
        self.files: dict[str, tuple[str, bytes]] = {}
        self.slow = 0.0
        self.sorts, self.elsewhere = True, False
        self.most = 100
        self._pages: dict[str, list[dict[str, Any]]] = {}
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/base"

    def start(self) -> None:
        """On the same port as before."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._http.daemon_threads = True
        self._port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._pages.clear()

    def hold(self, *resources: dict[str, Any], at: datetime | None = None) -> None:
        """Create or update resources, all at one moment."""
        stamp = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for one in resources:
            self.held = [old for old in self.held if (old["resourceType"], old["id"]) != (one["resourceType"], one["id"])]
            self.held.append(one | {"meta": {"lastUpdated": stamp}})

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        self.tokens.append(request.headers.get("Authorization", ""))
        time.sleep(self.slow)
        parts = urlsplit(request.path)
        path = parts.path.removeprefix("/base/")
        if self.answers:
            return self._send(request, self.answers.pop(0), "text/plain", b"not now")
        if path in self.files:
            return self._send(request, 200, *self.files[path])
        return self._search(request, path, {name: values[0] for name, values in parse_qs(parts.query).items()})

    def _search(self, request: BaseHTTPRequestHandler, kind: str, query: dict[str, str]) -> None:
        if "page" in query and query["page"] not in self._pages:
            return self._send(request, 410, "text/plain", b"gone")
        found = self._pages.get(query.get("page", "")) or self._select(kind, query)
        count = min(int(query.get("_count", "20")), self.most)
        links = []
        if found[count:]:
            token = f"{len(self.asked)}"
            self._pages[token] = found[count:]
            base = "http://127.0.0.2:9/base" if self.elsewhere else self.url
            links = [{"relation": "next", "url": f"{base}/{kind}?page={token}&_count={count}"}]
        entries = [{"fullUrl": f"http://public.example/{kind}/{one['id']}", "resource": one} for one in found[:count]]
        page = {"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}
        return self._send(request, 200, "application/fhir+json;charset=utf-8", json.dumps(page).encode())

    def _select(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        since = datetime.fromisoformat(query["_lastUpdated"].removeprefix("ge"))
        found = [one for one in self.held if one["resourceType"] == kind and _updated(one) >= since]
        return sorted(found, key=_updated) if self.sorts else found[::-1]

    def _send(self, request: BaseHTTPRequestHandler, status: int, kind: str, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        with suppress(ConnectionError):  # who asked has heard enough
            request.wfile.write(body)


def _updated(one: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(one["meta"]["lastUpdated"])


@contextmanager
def foreign_server() -> Iterator[ForeignServer]:
    server = ForeignServer()
    try:
        yield server
    finally:
        server.stop()


def configure(door: Door, lines: str) -> None:
    """Write feeds.toml before anything reads it."""
    door.feeds.folder.mkdir(exist_ok=True)
    (door.feeds.folder / "feeds.toml").write_text(lines)


def ago(**how_long: float) -> datetime:
    return datetime.now(UTC) - timedelta(**how_long)
