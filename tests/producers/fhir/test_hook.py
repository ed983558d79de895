"""Notifications of R4 Subscriptions (rest-hook), as servers send them."""

from collections.abc import Iterator

import httpx
import pytest
from fhir_samples import SERVER, bundle, configure, observation, patient, rows, running_http

from db.tables import inputs
from producers.door import Door

HOOK = "/fhir/subscription-hook/ehr"


@pytest.fixture
def client(door: Door, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("TOKEN_EHR", "its own")
    monkeypatch.setenv("TOKEN_LAB", "another")
    servers = f'[fhir.servers.ehr]\nurl = "{SERVER}"\nsender_token_env = "TOKEN_EHR"\n'
    configure(door, servers + '[fhir.servers.lab]\nurl = "http://lab.example"\nsender_token_env = "TOKEN_LAB"\n')
    with running_http(door) as client:
        client.headers["Authorization"] = "Bearer its own"
        yield client


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_resource_comes_to_its_type_and_id(client, door, method):
    answer = client.request(method, f"{HOOK}/Observation/na1", json=observation())
    assert (answer.status_code, rows(door, inputs)[0]["sender_id"]) == (201, "Observation/na1")


def test_a_notification_and_a_post_of_the_same_server_are_one_input(client, door):
    client.put(f"{HOOK}/Observation/na1", json=observation())
    client.post("/fhir/Observation", json=observation())
    client.post(HOOK, json=observation())
    assert len(rows(door, inputs)) == 1


def test_a_bundle_with_the_subscriptions_status_is_taken(client, door):
    status = {"resourceType": "Parameters", "id": "s"}
    assert client.post(HOOK, json=bundle("history", status, patient(), observation())).status_code == 200
    assert [row["disposition"] for row in rows(door, inputs)] == ["not_used", "timeline", "timeline"]


def test_an_empty_notification_of_a_server_that_is_not_polled_says_so(client):
    assert client.post(HOOK).status_code == 422


def test_a_name_that_is_not_configured_is_404(client):
    assert client.post("/fhir/subscription-hook/nobody", json=observation()).status_code == 403
    client.headers["Authorization"] = "Bearer another"
    assert client.post(HOOK, json=observation()).status_code == 403


def test_a_wrong_address_and_broken_bodies_are_answered_in_fhirs_words(client):
    for method, path, body, status in (
        ("PUT", f"{HOOK}/Observation/other", b'{"resourceType": "Observation", "id": "na1"}', 400),
        ("PUT", f"{HOOK}/Claim/1", b"{}", 404),
        ("POST", HOOK, b"<Observation/>", 415),
        ("POST", HOOK, b"{", 400),
        ("DELETE", f"{HOOK}/Observation/na1", b"", 405),
    ):
        answer = client.request(method, path, content=body, headers={"Content-Type": "application/fhir+json"})
        assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")
