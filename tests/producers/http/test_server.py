"""The HTTP port itself: who may speak to it, what it refuses, what it says in a fault, and what it never says."""

import concurrent.futures
import gzip
import json
import logging
import os
import resource
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from dicom_samples import file_of, projection
from fhir_samples import NOTE, attachment, bundle, document, observation, patient, rows, running_http
from pydicom.data import get_testdata_file

from db.tables import events, inputs
from producers.door import Door
from producers.fhir.routes import BODY_LIMIT
from producers.http import body as http_body
from producers.http import server as http_server
from producers.http.server import HttpFeed
from stream.content import INLINE_BYTES
from stream.settings import BadSettingError

CANARY = "CANARY-4711"


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    with running_http(door) as client:
        yield client


def assert_outcome(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/fhir+json")
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert code in [issue["code"] for issue in answer.json()["issue"]]


def test_it_refuses_to_start_off_loopback_without_a_token(door):
    with pytest.raises(BadSettingError):
        HttpFeed(door, bind="0.0.0.0", port=0, token="", ready=lambda: None).start()


def test_a_port_that_is_taken_is_a_bad_setting(door):
    with running_http(door) as client, pytest.raises(BadSettingError):
        HttpFeed(door, bind="127.0.0.1", port=client.base_url.port or 0, token="", ready=lambda: None).start()


@pytest.mark.parametrize("given", ["", "Bearer wrong", "Basic secret", "Bearer secretive", "Bearer \u00e9"])
def test_without_the_token_nothing_is_taken(door, given):
    with running_http(door, token="secret") as client:
        answer = client.post("/fhir/Observation", json=observation(), headers={"Authorization": given.encode()})
        assert_outcome(answer, 401, "login")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert [client.get(path).status_code for path in ("/", "/fhir/metadata", "/healthz", "/readyz")] == [401, 401, 200, 200]
    assert rows(door, inputs) == []


def test_with_the_token_everything_is_open(door):
    with running_http(door, token="secret") as client:
        answer = client.post("/fhir/Observation", json=observation(), headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 201


def test_not_ready_is_said_with_the_reason_while_the_process_is_healthy(door):
    with running_http(door, ready=lambda: "the database cannot be used") as client:
        assert (client.get("/readyz").status_code, client.get("/readyz").text) == (503, "the database cannot be used")
        assert client.get("/healthz").status_code == 200


def test_the_page_and_the_capability_statement_say_what_there_is(client):
    assert "/fhir/metadata" in client.get("/").text
    statement = client.get("/fhir/metadata").json()
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")


@pytest.mark.parametrize("headers", [{"Content-Type": "application/fhir+xml"}, {"Content-Type": "application/json"}, {}])
def test_xml_is_415_however_it_is_labelled(client, headers):
    assert_outcome(client.post("/fhir", content=b"<Bundle xmlns='http://hl7.org/fhir'/>", headers=headers), 415, "not-supported")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b'"x"',
        b"\xff\xfe",
        b"{}",
        b'{"resourceType": 7}',
        b'{"a":' * 100_000,
        b"[" * 65 + b"]" * 65,
        b"1" * 5000,
    ],
)
def test_what_is_no_resource_is_400(client, body):
    assert_outcome(client.post("/fhir", content=body, headers={"Content-Type": "application/fhir+json"}), 400, "structure")


def test_deep_nesting_is_400(client):
    deep: dict[str, object] = {"resourceType": "Observation", "status": "final"}
    for _ in range(70):
        deep = {"resourceType": "Observation", "contained": [deep]}
    assert_outcome(client.post("/fhir/Observation", json=deep), 400, "structure")


def test_nan_and_duplicate_keys_are_read_as_far_as_they_can_be(client):
    raw = json.dumps(observation()).replace("140", "NaN")
    assert client.post("/fhir/Observation", content=raw, headers={"Content-Type": "application/json"}).status_code == 201
    raw = '{"status": "broken", ' + json.dumps(observation())[1:]
    assert client.post("/fhir/Observation", content=raw, headers={"Content-Type": "application/json"}).status_code == 201


def test_a_type_that_is_not_taken_is_404_and_422_inside_a_bundle(client):
    assert_outcome(client.post("/fhir/Claim", json={"resourceType": "Claim"}), 404, "not-supported")
    assert_outcome(client.put("/fhir/Claim/1", json={"resourceType": "Claim"}), 404, "not-supported")
    assert_outcome(client.post("/fhir", json=bundle("transaction", {"resourceType": "Claim"})), 422, "not-supported")


def test_an_address_that_names_something_else_is_400(client):
    assert client.post("/fhir/Observation", json=document()).status_code == 400
    assert client.put("/fhir/Observation/other", json=observation()).status_code == 400


def test_a_slash_at_the_end_of_an_address_changes_nothing(client):
    assert client.post("/fhir/Observation/", json=observation()).status_code == 201
    assert client.put("/fhir/Observation/na1/", json=observation()).status_code == 200
    assert client.get("/fhir/nothing/at/all/").status_code == 404


def test_a_deletion_is_told_what_to_do_instead(client):
    answer = client.delete("/fhir/Observation/1")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "PUT")
    assert "entered-in-error" in answer.json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/fhir/Observation/1", 405), ("DELETE", "/fhir/Observation", 405)],
)
def test_other_addresses_and_methods_are_answered_in_fhirs_words(client, method, path, status):
    assert client.request(method, path).json()["resourceType"] == "OperationOutcome"
    assert client.request(method, path).status_code == status


def test_a_body_over_the_limit_is_413(client):
    chunks = (b" " * 2**20 for _ in range(BODY_LIMIT // 2**20 + 1))
    assert_outcome(client.post("/fhir", content=chunks, headers={"Content-Type": "application/json"}), 413, "too-long")
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=10) as sender:
        sender.sendall(f"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: {3 * BODY_LIMIT}\r\n\r\n".encode())
        assert sender.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_never_ends_is_given_up(client, monkeypatch):
    monkeypatch.setattr(http_body, "BODY_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=10) as sender:
        sender.sendall(b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert sender.recv(100).startswith(b"HTTP/1.1 408 ")
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=10) as sender:
        sender.sendall(b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert client.get("/healthz").status_code == 200


def test_a_full_store_is_507_and_later_the_same_resource_is_taken(client, door):
    large = document(content=[{"attachment": attachment(NOTE * (INLINE_BYTES // len(NOTE) + 1))}])
    door.store.watermark = 2**62
    answer = client.post("/fhir/DocumentReference", json=large)
    assert_outcome(answer, 507, "no-store")
    assert int(answer.headers["retry-after"]) > 0
    door.store.watermark = 0
    assert client.post("/fhir/DocumentReference", json=large).status_code == 201


def test_a_store_that_cannot_be_written_is_503_or_507(client, door):
    door.store.folder.parent.mkdir(exist_ok=True)
    door.store.folder.write_text("a file where the folder should be")
    answer = client.post("/fhir/DocumentReference", json=document(content=[{"attachment": attachment(NOTE * 2000)}]))
    assert answer.status_code in (503, 507)


def test_a_database_that_cannot_be_had_is_503_with_retry_after(client, door):
    path = Path(door.intake.database.url.database)
    away = path.with_suffix(".away")
    door.intake.database.close()
    path.rename(away)
    path.mkdir()
    answer = client.post("/fhir/Observation", json=observation())
    assert_outcome(answer, 503, "transient")
    assert int(answer.headers["retry-after"]) > 0
    path.rmdir()
    away.rename(path)
    assert client.post("/fhir/Observation", json=observation()).status_code == 201


def packed(resource: object) -> dict[str, object]:
    headers = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
    return {"content": gzip.compress(json.dumps(resource).encode()), "headers": headers}


def test_a_body_in_gzip_is_taken(client, door):
    assert client.post("/fhir/Observation", **packed(observation())).status_code == 201
    assert client.post("/fhir/Observation", json=observation()).status_code == 200
    assert len(rows(door, inputs)) == 1


def test_gzip_that_grows_over_the_limit_is_413_and_broken_gzip_400(client):
    small = gzip.compress(b" " * (BODY_LIMIT + 1))
    headers = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
    assert len(small) < 100_000
    assert_outcome(client.post("/fhir", content=small, headers=headers), 413, "too-long")
    for broken in (b"not gzip", small[:100], gzip.compress(b"") * 1000):
        assert_outcome(client.post("/fhir", content=broken, headers=headers), 400, "structure")
    assert_outcome(client.post("/fhir", content=b"x", headers={"Content-Encoding": "br"}), 415, "not-supported")


@pytest.mark.parametrize(
    "header",
    [
        {"If-None-Exist": "identifier=1"},
        {"If-Match": 'W/"7"'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"},
        {"Prefer": "return=OperationOutcome"},
        {"Prefer": "return=minimal, handling=strict"},
        {"Accept": "application/fhir+xml"},
    ],
)
def test_conditions_and_preferences_do_not_stand_in_the_way(client, header):
    answer = client.put("/fhir/Observation/na1", json=observation(), headers=header)
    assert (answer.status_code, answer.json()["resourceType"]) == (201, "OperationOutcome")


def test_over_the_limit_of_requests_is_503_with_retry_after(door, monkeypatch):
    monkeypatch.setattr(http_server, "MAX_REQUESTS", 1)
    with running_http(door) as client, socket.create_connection(("127.0.0.1", client.base_url.port), timeout=10) as slow:
        slow.sendall(b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = client.post("/fhir/Observation", json=observation())
        for _ in range(100):
            if answer.status_code == 503:
                break
            answer = client.post("/fhir/Observation", json=observation())
        assert_outcome(answer, 503, "throttled")
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/healthz").status_code == 200


def multipart(*parts: bytes, kind: str = "application/dicom") -> dict[str, object]:
    body = b"".join(b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    return {"content": body, "headers": {"Content-Type": f'multipart/related; type="{kind}"; boundary=edge'}}


def test_instances_are_stored_over_stow_rs(client, door):
    whole = Path(str(get_testdata_file("CT_small.dcm"))).read_bytes()
    for path, parts, status in (
        ("", [whole], 200),
        ("/1.3.6.1.4.1.5962.1.2.1.20040119072730.12322", [whole, b"half"], 202),
        ("", [b"half"], 409),
    ):
        answer = client.post(f"/dicom-web/studies{path}", **multipart(*parts))
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/dicom+json")
    assert len(rows(door, inputs)) == 1


def test_instances_of_an_address_on_the_stat_list_are_stat(door):
    door.feeds.folder.mkdir(parents=True, exist_ok=True)
    (door.feeds.folder / "feeds.toml").write_text('[dicom]\nstat_senders = ["127.0.0.1"]\n')
    with running_http(door) as client:
        assert client.post("/dicom-web/studies", **multipart(file_of(projection()))).status_code == 200
    assert [event["lane"] for event in rows(door, events)] == ["stat"]


def test_what_is_no_multipart_of_dicom_is_refused(client):
    assert_outcome(client.post("/dicom-web/studies", **multipart(b"", kind="image/png")), 415, "not-supported")
    assert_outcome(client.post("/dicom-web/studies", content=b"x", headers={"Content-Type": "multipart/related"}), 400, "structure")


def test_nothing_is_answered_before_the_commit(client, door):
    lock = sqlite3.connect(door.intake.database.url.database, isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(client.post, "/fhir/Observation", json=observation())
        with pytest.raises(concurrent.futures.TimeoutError):
            answer.result(timeout=0.5)
        lock.execute("ROLLBACK")
        assert answer.result(timeout=20).status_code == 201
    lock.close()


def test_many_senders_at_once_are_all_answered(client, door):
    sent = [observation(id=f"o{place}") for place in range(200)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda one: client.post("/fhir/Observation", json=one).status_code, sent))
    assert (set(answers), len(rows(door, inputs))) == ({201}, 200)


def test_no_patients_name_or_number_is_in_logs_answers_or_inputs(client, door, caplog):
    caplog.set_level(logging.DEBUG)
    who = patient(id=CANARY, name=[{"family": CANARY}], identifier=[{"system": CANARY, "value": CANARY}], birthDate=CANARY)
    owner = {"subject": {"reference": f"Patient/{CANARY}", "display": CANARY}}
    broken = observation(id="b", status=CANARY, **owner)
    odd = observation(id="c", valueQuantity={"value": 1, "unit": CANARY}, effectiveDateTime=CANARY, **owner)
    for kind in ("batch", "transaction", CANARY):
        told = client.post(
            "/fhir", json=bundle(kind, who, observation(**owner), document(**owner), broken, odd, {"resourceType": CANARY})
        )
        assert CANARY not in told.text + str(told.headers)
    for one in (who, broken, odd):
        told = client.post(f"/fhir/{one['resourceType']}", json=one)
        assert CANARY not in told.text + str(told.headers)
    told = client.post(f"/fhir/{CANARY}", json={"resourceType": CANARY})
    assert CANARY not in told.text
    ours = "\n".join(line.getMessage() for line in caplog.records if not line.name.startswith(("httpx", "httpcore")))
    assert CANARY not in ours
    assert CANARY not in str(rows(door, inputs))


FEEDS = os.environ.get("DXSTREAM_TEST_FEEDS", "")
_SKIPPED = "SKIPPED: set DXSTREAM_TEST_FEEDS to the folder with real feed files (dicom/, hl7/, fhir/) to send them through the port"


@pytest.mark.skipif(not FEEDS, reason=_SKIPPED)
def test_every_real_file_ends_in_arrivals_or_a_refusal(client, door):
    answers = [_send(client, path) for path in sorted((Path(FEEDS) / "fhir").rglob("*")) if path.is_file()]
    assert {answer.status_code for answer in answers} == {200, 201, 400, 404, 415, 422} - {404}
    told = {name for answer in answers for name in _accepted(answer)}
    assert told == {row["sender_id"] for row in rows(door, inputs)}
    assert client.get("/healthz").status_code == 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 2**20, "more than 2 GiB"


def _send(client: httpx.Client, path: Path) -> httpx.Response:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    kind = "application/fhir+xml" if path.suffix == ".xml" else "application/fhir+json"
    return client.post("/fhir", content=raw, headers={"Content-Type": kind})


def _accepted(answer: httpx.Response) -> list[str]:
    """What the sender was told we have, by its own names."""
    if answer.status_code == 201:
        return [answer.headers["location"].removeprefix("/fhir/")]
    entries = [entry["response"] for entry in answer.json().get("entry", [])]
    return [response["location"] for response in entries if response["status"].startswith("20")]
