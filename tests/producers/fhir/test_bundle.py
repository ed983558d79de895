"""Bundles and files: references, transactions and batches, lanes, movements of a stay."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fhir_samples import SERVER, bundle, document, encounter, observation, patient, quantity, rows, running_http

from db.tables import cases, events, inputs, movements, points
from dxstream.inbox import parsers
from producers.door import Door
from producers.fhir import file
from producers.fhir.file import parse_file
from producers.folder.feed import FolderFeed
from stream.errors import Refused

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    with running_http(door) as client:
        yield client


def statuses(answer: httpx.Response) -> list[str]:
    return [entry["response"]["status"][:3] for entry in answer.json()["entry"]]


def test_urn_uuid_references_find_the_patient_in_the_bundle(client, door):
    urls = ("urn:uuid:1", "urn:uuid:2")
    answer = client.post(
        "/fhir", json=bundle("transaction", patient(), observation(subject={"reference": "urn:uuid:1"}), urls=urls)
    )
    client.post("/fhir/Observation", json=observation(id="other"))
    assert (answer.json()["type"], statuses(answer)) == ("transaction-response", ["201", "201"])
    assert len({point["patient_key"] for point in rows(door, points)}) == 1


@pytest.mark.parametrize(
    "reference", ["Patient/p1", f"{SERVER}/Patient/p1", f"{SERVER}/Patient/p1/_history/3", "Patient?identifier=urn:oid:1.2.3|0815"]
)
def test_every_way_to_refer_to_a_patient_gives_the_same_key(client, door, reference):
    client.post("/fhir", json=bundle("collection", patient(), observation(subject={"reference": reference})))
    client.post("/fhir/Observation", json=observation(id="direct", subject={"identifier": patient()["identifier"][1]}))
    assert len({point["patient_key"] for point in rows(door, points)}) == 1


def test_a_contained_patient_is_found(client, door):
    client.post("/fhir/Observation", json=observation(contained=[patient()], subject={"reference": "#p1"}))
    client.post("/fhir/Observation", json=observation(id="direct"))
    assert len({point["patient_key"] for point in rows(door, points)}) == 1


def test_bare_references_of_two_servers_never_join(client, door):
    for server in ("http://a.example/fhir", "http://b.example/fhir"):
        one = observation(subject={"reference": "Patient/1"})
        client.post("/fhir", json=bundle("batch", one, urls=(f"{server}/Observation/na1",)))
    assert len({point["patient_key"] for point in rows(door, points)}) == 2


def test_a_batch_answers_entry_by_entry_in_order(client, door):
    claim = {"resourceType": "Claim", "id": "c"}
    answer = client.post("/fhir", json=bundle("batch", observation(), claim, observation(id="bad", status=None)))
    assert (answer.status_code, answer.json()["type"], statuses(answer)) == (200, "batch-response", ["201", "422", "422"])
    assert answer.json()["entry"][2]["response"]["outcome"]["issue"][0]["expression"] == ["Bundle.entry[2].resource.status"]
    assert len(rows(door, inputs)) == 1


def test_a_transaction_with_a_refused_entry_is_refused_as_a_whole(client, door):
    answer = client.post("/fhir", json=bundle("transaction", observation(), observation(id="bad", code=None)))
    assert (answer.status_code, rows(door, inputs)) == (422, [])
    assert answer.json()["issue"][1]["expression"] == ["Bundle.entry[1].resource.code"]


def test_a_transaction_of_which_the_ledger_cannot_hold_one_entry_leaves_nothing(client, door):
    with door.intake.database.write() as (connection, _):
        stop = (
            "CREATE TRIGGER t BEFORE INSERT ON inputs WHEN NEW.sender_id = 'Observation/bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        connection.exec_driver_sql(stop)
    sent = (observation(), observation(id="bad"), observation(id="o3"))
    answer = client.post("/fhir", json=bundle("transaction", *sent))
    assert (answer.status_code, rows(door, inputs), rows(door, points)) == (422, [], [])
    assert statuses(client.post("/fhir", json=bundle("batch", *sent))) == ["201", "422", "201"]


def test_a_transaction_is_answered_entry_by_entry_and_an_empty_one_with_nothing(client, door):
    sent = bundle("transaction", observation(), observation(id="o2"), observation())
    assert statuses(client.post("/fhir", json=sent)) == ["201", "201", "200"]
    assert statuses(client.post("/fhir", json=bundle("transaction"))) == []
    assert len(rows(door, inputs)) == 2


def test_a_transaction_of_more_entries_than_one_commit_may_have_is_refused(client, door, monkeypatch):
    monkeypatch.setattr("producers.fhir.bundle.MAX_TRANSACTION", 1)
    sent = (observation(), observation(id="o2"))
    assert client.post("/fhir", json=bundle("transaction", *sent)).status_code == 422
    assert client.post("/fhir", json=bundle("batch", *sent)).status_code == 200


def test_a_message_keeps_what_goes_with_its_results(client, door):
    alongside = ({"resourceType": "MessageHeader", "id": "m"}, {"resourceType": "Organization", "id": "o"})
    assert statuses(client.post("/fhir", json=bundle("message", *alongside, observation()))) == ["201", "201", "201"]
    assert [row["disposition"] for row in rows(door, inputs)] == ["not_used", "not_used", "timeline"]


@pytest.mark.parametrize("kind", ["batch-response", "transaction-response", None])
def test_a_bundle_of_a_type_that_is_not_taken_is_refused(client, kind):
    answer = client.post("/fhir", json=bundle(kind, observation()))
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (422, ["Bundle.type"])


def test_a_bundle_of_too_many_entries_is_refused_as_a_whole(client, door, monkeypatch):
    monkeypatch.setattr("producers.fhir.bundle.MAX_ENTRIES", 1)
    answer = client.post("/fhir", json=bundle("batch", patient(), observation()))
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (422, ["Bundle.entry"])
    assert rows(door, inputs) == []


@pytest.mark.parametrize("priority", ["stat", "asap"])
def test_a_result_of_an_urgent_order_is_stat(client, door, priority):
    order = {"resourceType": "ServiceRequest", "id": "s", "priority": priority}
    stays = bundle("batch", patient(), encounter())
    client.post("/fhir", json=stays)
    client.post(
        "/fhir",
        json=bundle(
            "batch",
            patient(),
            order,
            observation(basedOn=[{"reference": "ServiceRequest/s"}], effectiveDateTime="2026-03-01T10:00:00Z"),
        ),
    )
    assert [case["lane"] for case in rows(door, cases)] == ["stat"]


def test_the_first_intensive_location_gives_a_stay_its_origin(client, door):
    client.post("/fhir", json=bundle("batch", patient(), encounter()))
    assert [(move["kind"], move["intensive"]) for move in rows(door, movements)] == [("admit", False), ("transfer", True)]
    (case,) = rows(door, cases)
    assert case["origin_at"].isoformat() == "2026-03-01T09:00:00+00:00"
    assert case["facts"] == {"age_years": 75, "sex": "female", "setting": "icu"}


def test_a_finished_stay_is_a_discharge_and_an_outpatient_is_not_used(client, door):
    finished = encounter(status="finished", period={"start": "2026-03-01T06:00:00Z", "end": "2026-03-05T06:00:00Z"})
    client.post("/fhir", json=bundle("batch", patient(), finished, encounter(id="e2", **{"class": {"code": "AMB"}})))
    assert [move["kind"] for move in rows(door, movements)] == ["admit", "transfer", "discharge"]
    assert rows(door, inputs)[2]["reason"] == "not a stay in hospital"


def test_a_stay_entered_in_error_loses_its_origin(client, door):
    direct = encounter(location=[encounter()["location"][0]])
    client.post("/fhir", json=bundle("batch", patient(), direct))
    client.post("/fhir", json=bundle("batch", patient(), {**direct, "status": "entered-in-error"}))
    assert [case["origin_at"] for case in rows(door, cases)] == [None]


def test_defaults_of_the_feed_are_used_and_named(door):
    door.feeds.folder.mkdir()
    (door.feeds.folder / "feeds.toml").write_text("[fhir]\ndefaults = { age_years = 60, sex = 'male' }\n")
    with running_http(door) as client:
        client.post("/fhir/DocumentReference", json=document())
    assert rows(door, events)[0]["facts"]["defaults"] == ["age_years", "sex"]


def test_a_file_may_hold_a_resource_a_bundle_or_ndjson(door):
    one, two = observation(), observation(id="na2", valueQuantity=quantity(141, "mmol/L"))
    lines = "\n".join([json.dumps(one), "", "{", json.dumps(two)])
    assert [a.sender_id for a in parse_file(json.dumps(one).encode(), "a.json", door=door, received_at=NOW)] == ["Observation/na1"]
    assert len(parse_file(json.dumps(bundle("collection", one, two)).encode(), "b.json", door=door, received_at=NOW)) == 2
    assert [a.not_used for a in parse_file(lines.encode(), "c.ndjson", door=door, received_at=NOW)] == ["", "refused: not JSON", ""]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"<Patient/>", b"\xff", b'{"resourceType": "Claim"}', b'{"resourceType": 5}'])
def test_a_file_that_is_no_resource_is_refused(door, raw):
    for name in ("a.json", "a.ndjson"):
        with pytest.raises(Refused):
            parse_file(raw, name, door=door, received_at=NOW)


def test_a_compressed_file_is_unpacked_within_a_limit(door, monkeypatch):
    raw = gzip.compress(json.dumps(observation()).encode())
    for name in ("a.json.gz", "b.ndjson.gz", "A.JSON.GZ"):
        assert len(parse_file(raw, name, door=door, received_at=NOW)) == 1
    monkeypatch.setattr(file, "MOST_BYTES", 10)
    for broken in (raw, raw[:20], b"not gzip", b""):
        with pytest.raises(Refused):
            parse_file(broken, "a.json.gz", door=door, received_at=NOW)


def test_the_watched_folder_takes_every_suffix_of_fhir(door):
    raw = json.dumps(observation()).encode()
    for name, content in (("a.json", raw), ("a.fhir", raw), ("a.ndjson", raw), ("a.json.gz", gzip.compress(raw))):
        assert len(parsers(door)[Path(name).suffix](content, name)) == 1


@pytest.mark.parametrize(
    ("kind", "left", "reason"),
    [
        ("transaction", [], "all of 3: the ledger cannot hold this input"),
        ("batch", ["Observation/na1", "Observation/o3"], "input 2 of 3: the ledger cannot hold this input"),
    ],
)
def test_a_transaction_in_the_inbox_is_one_commit_as_a_posted_one_is(door, tmp_path, kind, left, reason):
    with door.intake.database.write() as (connection, _):
        stop = (
            "CREATE TRIGGER t BEFORE INSERT ON inputs WHEN NEW.sender_id = 'Observation/bad' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        connection.exec_driver_sql(stop)
    (tmp_path / "inbox").mkdir()
    sent = bundle(kind, observation(), observation(id="bad"), observation(id="o3"))
    (tmp_path / "inbox" / "t.json").write_text(json.dumps(sent))
    feed = FolderFeed(door, inbox=tmp_path / "inbox", parsers=parsers(door))
    for _ in range(2):  # the second look sees that it has settled
        feed.look()
    assert [row["sender_id"] for row in rows(door, inputs)] == left
    assert (tmp_path / "inbox" / "refused" / "t.json.reason").read_text().strip() == reason


def test_a_transaction_in_a_file_is_bounded_as_a_posted_one_is(door, monkeypatch):
    monkeypatch.setattr("producers.fhir.bundle.MAX_TRANSACTION", 1)
    sent = json.dumps(bundle("transaction", observation(), observation(id="o2"))).encode()
    with pytest.raises(Refused, match="more than 1 entries"):
        parse_file(sent, "t.json", door=door, received_at=NOW)


@pytest.mark.parametrize("kind", ["message", "collection", "history", "searchset", "document", "subscription-notification"])
def test_every_other_type_of_bundle_is_taken_entry_by_entry(client, door, kind):
    answer = client.post("/fhir", json=bundle(kind, patient(), observation(), {"resourceType": "Claim"}))
    assert (answer.json()["type"], statuses(answer)) == ("batch-response", ["201", "201", "422"])


def test_a_message_may_be_sent_to_its_operation(client):
    header = {"resourceType": "MessageHeader", "id": "h"}
    assert statuses(client.post("/fhir/$process-message", json=bundle("message", header, observation()))) == ["201", "201"]


def test_a_deletion_in_a_history_takes_nothing_back_and_says_so(client):
    deleted = {"fullUrl": f"{SERVER}/Observation/na1", "request": {"method": "DELETE", "url": "Observation/na1"}}
    history = bundle("history", observation())
    history["entry"].append(deleted)
    assert statuses(client.post("/fhir", json=history)) == ["201", "422"]
