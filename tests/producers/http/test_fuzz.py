"""Mutated requests at the port's own address: always an answer, none of 5xx for what was sent, no hang, memory flat.

``DXSTREAM_FUZZ``: how many (2,000 unless told otherwise); ``DXSTREAM_FUZZ_SEED``: request number N of a seed is always the same.
"""

import copy
import gzip
import http.client
import json
import os
import random
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from fhir_samples import SERVER, bundle, configure, document, encounter, loinc, observation, patient, rows, running_http

from db.tables import inputs
from stream.memory import return_memory

MANY = int(os.environ.get("DXSTREAM_FUZZ", "2000"))
SEED = os.environ.get("DXSTREAM_FUZZ_SEED", "20261120")

#: An answer that takes longer is a hang, in seconds; senders at once; the most by which the second half may grow, in MiB.
MOST_SECONDS = 5.0
SENDERS = 4
MOST_GROWTH = 32

_REPORT = {
    "resourceType": "DiagnosticReport",
    "id": "r1",
    "status": "final",
    "code": loinc("11504-8"),
    "conclusion": "Nothing of note was seen in this examination of the chest.",
    "contained": [observation()],
}
SEEDS = (
    observation(component=[{"code": loinc("8480-6"), "valueString": "<5"}], contained=[patient()], basedOn=[{"reference": "#s"}]),
    document(relatesTo=[{"code": "replaces", "target": {"reference": "DocumentReference/d0"}}]),
    encounter(),
    patient(),
    _REPORT,
    *(bundle(kind, patient(), observation(), encounter(), document()) for kind in ("transaction", "batch", "message", "history")),
)
ODD = (
    *(None, True, 0, -1, 10**400, 1e308, 0.1, "", " ", "\x00", "\ud800", "\u202e", "#", "#p1", "<", "=", ">=5", "1:128", "1" * 400),
    *("é" * 100, "a" * 70_000, [], {}, [[]], [{}], [None], {"coding": [{"code": "2951-2"}]}, "entered-in-error", "final"),
    *("Patient/p1", f"{SERVER}/Patient/p1", "urn:uuid:1", "Patient?identifier=a|b", "Binary/1", "http://[::1"),
    *("2026", "2026-02-30", "2026-03-29T02:30:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *("text/html; charset=utf-7", "text/plain; charset=idna", {"reference": "Patient/../x"}),
)
TYPES = (
    "Observation",
    "DocumentReference",
    "Encounter",
    "Patient",
    "DiagnosticReport",
    "Bundle",
    "Claim",
    "$process-message",
    "%00",
    "é",
)
MEDIA = (
    "application/fhir+json",
    "application/json",
    "application/fhir+json; charset=utf-16",
    "application/fhir+xml",
    "text/plain",
    "",
)


@dataclass(frozen=True)
class Shot:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def mutated(resource: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A few values replaced, removed, doubled or moved."""
    whole = copy.deepcopy(resource)
    for _ in range(dice.choice((0, 1, 1, 2, 3, 8))):
        *way, last = dice.choice(places(whole)[1:] or [("x",)])
        holder: Any = whole
        for key in way:
            holder = holder[key]
        what = dice.random()
        if what < 0.6:
            holder[last] = copy.deepcopy(dice.choice(ODD))
        elif what < 0.75:
            del holder[last]
        elif what < 0.9:
            holder[last] = [holder[last]] * dice.choice((2, 12))
        elif isinstance(holder, dict):
            holder[dice.choice(("valueString", "subject", "contained", "data", "url", "id"))] = holder.pop(last)
        if not whole:
            break
    return whole


def shot(number: int) -> Shot:
    dice = random.Random(f"{SEED}:{number}")
    resource = mutated(dice.choice(SEEDS), dice)
    body = json.dumps(resource).encode()
    if dice.random() < 0.3:
        body = chewed(body, dice)
    headers = {"Content-Type": dice.choice(MEDIA) if dice.random() < 0.1 else MEDIA[0]}
    if dice.random() < 0.15:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        body = chewed(body, dice) if dice.random() < 0.5 else body
    return Shot(*address(resource, dice), headers, body)


def chewed(body: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.choice((1, 1, 4))):
        place = dice.randrange(len(body) + 1)
        body = body[:place] + dice.randbytes(dice.choice((0, 1, 5))) + body[place + dice.choice((0, 1, 30)) :]
    return body


def address(resource: dict[str, Any], dice: random.Random) -> tuple[str, str]:
    """Mostly one where the resource is taken."""
    own, name = resource.get("resourceType"), resource.get("id")
    kind = own if own in TYPES and dice.random() < 0.9 else dice.choice(TYPES).replace("é", "%C3%A9")
    base = dice.choice(("/fhir",) * 5 + ("/fhir/subscription-hook/ehr",) * 4 + ("/fhir/subscription-hook/nobody",))
    if not isinstance(name, str) or not name.isalnum() or len(name) > 80 or not name.isascii() or dice.random() < 0.1:
        name = dice.choice(("na1", "..", "%2F", "x" * 300, "_history"))
    ways = [("POST", base)] * 4 + [("POST", f"{base}/{kind}")] * 3 + [("PUT", f"{base}/{kind}/{name}")] * 4
    return dice.choice([*ways, ("DELETE", f"{base}/{kind}/{name}")])


class Sender:
    """Sends its share of the shots over one connection, and writes down what was answered."""

    def __init__(self, port: int, share: int) -> None:
        self.port, self.share = port, share
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=MOST_SECONDS)

    def send_some(self, numbers: range) -> None:
        for number in numbers[self.share :: SENDERS]:
            self._send(number)

    def _send(self, number: int) -> None:
        began = time.monotonic()
        if number % 50 == 0:
            self._send_noise(number)
        else:
            self._send_shot(number, shot(number))
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)

    def _send_shot(self, number: int, one: Shot) -> None:
        try:
            self.connection.request(one.method, one.path, one.body, one.headers)
            answer = self.connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.wrong.append(f"{number}: {type(error).__name__}")
            self.connection.close()
            return
        self.statuses[answer.status] += 1
        if answer.status >= 500 or b'"resourceType":' not in said:
            self.wrong.append(f"{number}: {answer.status} {one.method} {one.path[:60]}")

    def _send_noise(self, number: int) -> None:
        """Bytes that are hardly HTTP: an answer, or the end of the connection."""
        dice = random.Random(f"{SEED}:noise:{number}")
        raw = chewed(b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", dice)
        with socket.create_connection(("127.0.0.1", self.port), timeout=MOST_SECONDS) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            said = connection.recv(4096)
        if said.startswith(b"HTTP/1.1 5"):
            self.wrong.append(f"{number}: noise {said[9:12].decode()}")


@pytest.fixture(scope="module", autouse=True)
def _two_arenas() -> None:
    """As the intake has it: with an arena a thread what is free in one is of no use to the others."""
    return_memory()


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.timeout(60 + MANY)
def test_every_mutated_request_is_answered_and_no_answer_is_a_fault_of_ours(door, capsys):
    configure(door, f'[fhir]\nsource = "{SERVER}"\n[fhir.servers.ehr]\nurl = "http://ehr.example/other"\n')
    with running_http(door) as client:
        senders = [Sender(client.base_url.port or 0, share) for share in range(SENDERS)]
        resided: list[float] = []
        for start in range(0, MANY, 1000):
            with ThreadPoolExecutor(SENDERS) as pool:
                list(pool.map(Sender.send_some, senders, repeat(range(start, min(start + 1000, MANY)))))
            resided.append(resident())
        alive = client.get("/healthz").status_code
    for sender in senders:
        sender.connection.close()
    statuses = sum((sender.statuses for sender in senders), Counter())
    slowest = max(sender.slowest for sender in senders)
    grown = resided[-1] - resided[(len(resided) - 1) // 2]
    told = ", ".join(f"{status}: {number}" for status, number in sorted(statuses.items()))
    memory = [round(one) for one in resided[:: max(1, len(resided) // 10)]]
    with capsys.disabled():
        print(f"\nfuzz seed {SEED}: {MANY} requests, {told}; slowest {slowest:.2f} s; MiB {memory}")
    assert [one for sender in senders for one in sender.wrong] == []
    assert slowest < MOST_SECONDS
    assert (alive, grown < MOST_GROWTH) == (200, True)
    assert {row["disposition"] for row in rows(door, inputs)} <= {"collecting", "in_event", "timeline", "not_used"}
