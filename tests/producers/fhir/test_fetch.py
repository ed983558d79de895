"""``attachment.url``: fetched from listed servers only, and from nowhere else whatever the address looks like."""

import base64
from collections.abc import Iterator

import httpx
import pytest
from fhir_samples import NOTE, ForeignServer, bundle, configure, document, foreign_server, rows, running_http

from db.tables import events, inputs
from producers.door import Door
from producers.fhir import fetch
from producers.fhir.client import address_on
from producers.fhir.servers import Server


@pytest.fixture
def foreign() -> Iterator[ForeignServer]:
    with foreign_server() as server:
        server.files["Binary/1"] = ("text/plain; charset=utf-8", NOTE.encode())
        yield server


@pytest.fixture
def client(door: Door, foreign: ForeignServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("TOKEN_SHOWN", "shown")
    lines = f'[fhir.servers.ehr]\nurl = "{foreign.url}"\ntoken_env = "TOKEN_SHOWN"\nattachments = true\n'
    configure(door, lines)
    with running_http(door) as client:
        yield client


def elsewhere(url: str, kind: str = "text/plain") -> dict[str, object]:
    return document(content=[{"attachment": {"contentType": kind, "url": url}}])


def send(client: httpx.Client, resource: dict[str, object]) -> httpx.Response:
    return client.post("/fhir/subscription-hook/ehr/DocumentReference", json=resource)


@pytest.mark.parametrize("address", ["Binary/1", "{base}/Binary/1", "/base/Binary/1"])
def test_a_text_on_a_listed_server_is_fetched_with_its_token(client, door, foreign, address):
    assert send(client, elsewhere(address.format(base=foreign.url))).status_code == 201
    assert rows(door, inputs)[0]["disposition"] == "in_event"
    assert foreign.tokens == ["Bearer shown"]


def test_a_binary_resource_is_unpacked(client, door, foreign):
    packed = base64.b64encode(f"<p>{NOTE}</p>".encode()).decode()
    raw = f'{{"resourceType": "Binary", "contentType": "text/html;charset=utf-8", "data": "{packed}"}}'
    foreign.files["Binary/2"] = ("application/fhir+json", raw.encode())
    send(client, elsewhere("Binary/2", "text/html"))
    assert len(rows(door, events)) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.2:9/base/Binary/1",
        "https://127.0.0.1/base/Binary/1",
        "//127.0.0.2:9/base/Binary/1",
        "/other/Binary/1",
        "Binary/../../other",
        "Binary/%2e%2e/%2e%2e/other",
        "file:///etc/passwd",
        "ftp://127.0.0.1/base/Binary/1",
        "http://user@127.0.0.1/base/x",
        "Binary/1\r\nHost: evil",
        "Binary/ü",
        "http://[::1",
    ],
)
def test_an_address_elsewhere_is_never_asked_for(client, door, foreign, address):
    assert send(client, elsewhere(address)).status_code == 201
    assert rows(door, inputs)[0]["reason"] == "attachment is elsewhere"
    assert foreign.asked == []


def test_a_relative_address_of_a_sender_without_a_name_is_elsewhere(client, door, foreign):
    client.post("/fhir/DocumentReference", json=elsewhere("Binary/1"))
    assert rows(door, inputs)[0]["reason"] == "attachment is elsewhere"


@pytest.mark.parametrize("address", ["Binary/1?x=://", "Binary/1#://", "//127.0.0.1/Binary/1?x=://", "/base/Binary/1?x=http://a"])
def test_a_relative_address_of_another_source_is_elsewhere_whatever_stands_in_it(client, door, foreign, address):
    client.post(
        "/fhir/subscription-hook/ehr",
        json=bundle("collection", elsewhere(address), urls=("http://other/fhir/DocumentReference/d1",)),
    )
    assert (rows(door, inputs)[0]["reason"], foreign.asked) == ("attachment is elsewhere", [])


def test_a_server_that_is_not_listed_for_attachments_is_not_asked(door, foreign):
    configure(door, f'[fhir.servers.ehr]\nurl = "{foreign.url}"\n')
    with running_http(door) as client:
        send(client, elsewhere("Binary/1"))
    assert (rows(door, inputs)[0]["reason"], foreign.asked) == ("attachment is elsewhere", [])


@pytest.mark.parametrize(
    ("kind", "body", "status", "reason"),
    [
        ("text/plain", b"x" * 5000, 200, "the server's answer is too large"),
        ("application/pdf", b"%PDF", 200, "its media type is another one"),
        ("application/fhir+json", b"{", 200, "not JSON"),
        ("application/fhir+json", b'{"resourceType": "Binary"}', 200, "its media type is another one"),
        ("text/plain", b"", 404, "the server answers 404"),
        ("text/plain", b"", 302, "the server answers 302"),
    ],
)
def test_what_can_never_be_fetched_is_kept_with_the_reason(client, door, foreign, monkeypatch, kind, body, status, reason):
    monkeypatch.setattr(fetch, "MOST_BYTES", 4000)
    foreign.files["Binary/3"] = (kind, body)
    foreign.answers = [status] if status != 200 else []
    assert send(client, elsewhere("Binary/3")).status_code == 201
    assert rows(door, inputs)[0]["reason"] == f"attachment cannot be fetched: {reason}"


def test_a_server_that_is_away_makes_the_sender_come_again(client, door, foreign):
    foreign.answers = [503]
    assert send(client, elsewhere("Binary/1")).headers["retry-after"]
    assert rows(door, inputs) == []
    assert send(client, elsewhere("Binary/1")).status_code == 201


def test_a_slow_server_holds_its_sender_for_seconds_only_and_nobody_else(client, foreign, monkeypatch):
    monkeypatch.setattr(fetch, "FETCH_SECONDS", 0.3)
    foreign.slow = 2.0
    assert send(client, elsewhere("Binary/1")).status_code == 503
    foreign.slow = 0.0
    assert send(client, elsewhere("Binary/1")).status_code == 201


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("Observation?page=2", "http://a.example/fhir/Observation?page=2"),
        ("?page=2", "http://a.example/fhir/?page=2"),
        ("http://a.example:80/fhir?page=2", "http://a.example:80/fhir?page=2"),
        ("http://a.example/fhirx", ""),
        ("http://a.example.evil/fhir/x", ""),
        ("https://a.example/fhir/x", ""),
        ("http://a.example:8080/fhir/x", ""),
        ("http://a.example:x/fhir/x", ""),
    ],
)
def test_an_address_is_on_a_server_or_nowhere(written, found):
    assert address_on(Server(name="a", url="http://a.example/fhir"), written) == found
