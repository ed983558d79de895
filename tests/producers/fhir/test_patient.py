"""Who it is, when the Patient comes in another request than what refers to it, and which server it is on."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from fhir_samples import (
    SERVER,
    attachment,
    bundle,
    configure,
    document,
    encounter,
    observation,
    patient,
    quantity,
    rows,
    running_http,
)

from db.commit import Commit
from db.merges import list_merges, undo_merge
from db.tables import aliases, cases, events, inputs, patients, points, refusals
from producers.door import Door
from producers.fhir.file import parse_file

BARE = {"subject": {"reference": "Patient/p1"}}
STAY = encounter(location=[encounter()["location"][0]])


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    """One server's resources, whose base address the feed's configuration gives."""
    configure(door, f'[fhir]\nsource = "{SERVER}"\n')
    with running_http(door) as client:
        yield client


def send(client: httpx.Client, *resources: dict) -> None:
    for one in resources:
        assert client.post(f"/fhir/{one['resourceType']}", json=one).is_success


def test_a_patient_that_came_before_gives_key_age_and_sex(client, door):
    send(client, patient(), observation(**BARE), STAY, document(**BARE), observation(id="by-number"))
    assert rows(door, cases)[0]["facts"] == {"age_years": 75, "sex": "female", "setting": "icu"}
    assert rows(door, events)[0]["facts"]["age_years"] == 75
    assert len({row["patient_key"] for row in rows(door, inputs)}) == 1
    assert rows(door, aliases) == []


def test_a_patient_that_comes_after_its_resources_joins_them(client, door):
    send(client, observation(**BARE, effectiveDateTime="2026-03-01T10:00:00Z"), STAY)
    assert "age_years" not in rows(door, cases)[0]["facts"]
    send(client, patient(), observation(id="by-number", effectiveDateTime="2026-03-01T11:00:00Z"))
    (alias,) = rows(door, aliases)
    assert {alias["other"], alias["patient_key"]} == {point["patient_key"] for point in rows(door, points)}
    assert rows(door, cases)[0]["facts"] == {"age_years": 75, "sex": "female", "setting": "icu"}
    assert [row["disposition"] for row in rows(door, inputs)] == ["collecting", "collecting", "timeline", "collecting"]


def test_a_patient_sent_twice_makes_one_alias(client, door):
    send(client, observation(**BARE), patient(), patient(active=True), patient())
    assert len(rows(door, aliases)) == 1


def test_a_patient_without_an_identifier_still_gives_age_and_sex(client, door):
    send(client, patient(identifier=[]), STAY)
    assert rows(door, cases)[0]["facts"]["age_years"] == 75
    assert rows(door, aliases) == []


def test_a_server_that_corrects_an_identifier_does_not_make_one_of_two_people(client, door):
    send(client, observation(**BARE), patient(), patient(identifier=[{"system": "urn:oid:1.2.3", "value": "4711"}]))
    send(client, observation(id="later", **BARE))
    assert len(rows(door, aliases)) == 1
    assert len({row["patient_key"] for row in rows(door, points)}) == 2


def test_an_older_version_of_a_patient_changes_nothing(client, door):
    send(client, patient(meta={"lastUpdated": "2026-02-02T00:00:00Z"}))
    send(client, patient(birthDate="1999-01-01", meta={"lastUpdated": "2026-02-01T00:00:00Z"}), STAY)
    assert rows(door, cases)[0]["facts"]["age_years"] == 75


def test_an_identifier_that_contradicts_the_reference_gets_no_age_from_it(client, door):
    other = {"subject": {**BARE["subject"], "identifier": {"system": "urn:oid:1.2.3", "value": "another"}}}
    send(client, patient(), document(**other))
    assert "age_years" not in rows(door, events)[0]["facts"]


def test_what_is_remembered_is_two_keys_a_birth_date_and_a_sex(client, door):
    send(client, patient(name=[{"family": "CANARY"}], address=[{"city": "CANARY"}]))
    with door.intake.database.read() as connection:
        (row,) = connection.execute(patients.select()).mappings()
    assert set(row) == {"bare_key", "patient_key", "birth_date", "sex", "version_at", "seen_at"}
    assert "CANARY" not in str(row)
    assert "p1" not in str(row)


def test_without_a_named_server_nothing_is_remembered(door):
    with running_http(door) as client:
        send(client, patient())
        send(client, STAY)
    assert rows(door, inputs)[0]["reason"] == "not remembered: its server is not named in feeds.toml"
    assert "age_years" not in rows(door, cases)[0]["facts"]


def test_files_of_bulk_data_find_their_patients_in_either_order(door):
    configure(door, f'[folder]\nsource = "{SERVER}"\n')
    for one in (observation(**BARE), patient(), observation(id="second", **BARE)):
        (arrival,) = parse_file(json.dumps(one).encode(), "a.ndjson", door=door, received_at=datetime.now(UTC), feed="folder")
        door.intake.submit(arrival).result(10)
    assert len(rows(door, aliases)) == 1
    assert rows(door, inputs)[2]["patient_key"] == rows(door, inputs)[1]["patient_key"]


TWO = f"""
[fhir.servers.one]
url = "{SERVER}"
sender_token_env = "TOKEN_ONE"

[fhir.servers.two]
url = "http://two.example/fhir/"
sender_token_env = "TOKEN_TWO"
"""


@pytest.fixture
def two(door: Door, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """Two servers with a token each, beside the general one."""
    monkeypatch.setenv("TOKEN_ONE", "first")
    monkeypatch.setenv("TOKEN_TWO", "second")
    configure(door, TWO)
    with running_http(door, token="general") as client:
        yield client


def shown(token: str) -> dict[str, dict[str, str]]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


def test_bare_resources_of_two_servers_never_collide(two, door):
    for token, born in (("first", "1950-06-01"), ("second", "1990-06-01")):
        for one in (patient(birthDate=born, identifier=[{"value": "0815"}]), observation(**BARE), STAY):
            assert two.post(f"/fhir/{one['resourceType']}", json=one, **shown(token)).status_code == 201
    assert [case["facts"]["age_years"] for case in rows(door, cases)] == [75, 35]
    assert len({point["identity"] for point in rows(door, points)}) == 2
    assert len({row["patient_key"] for row in rows(door, inputs)}) == 2


def test_a_server_may_not_make_another_ones_patient_known(two, door):
    foreign = bundle("batch", patient(), urls=("http://two.example/fhir/Patient/p1",))
    assert two.post("/fhir", json=foreign, **shown("first")).status_code == 200
    assert rows(door, inputs)[0]["disposition"] == "not_used"
    assert two.post("/fhir", json=foreign, **shown("general")).status_code == 200


def test_a_servers_token_opens_fhir_alone(two):
    assert two.get("/fhir/metadata", **shown("first")).status_code == 200
    assert two.post("/dicom-web/studies", **shown("first")).status_code == 401
    assert two.get("/", **shown("second")).status_code == 401
    assert two.get("/", **shown("general")).status_code == 200
    assert two.get("/fhir/metadata").status_code == 401


def test_ids_of_two_unnamed_servers_are_told_apart_by_the_address_that_they_come_from(door):
    with running_http(door) as near:
        far = httpx.Client(base_url=near.base_url, trust_env=False, transport=httpx.HTTPTransport(local_address="127.0.0.9"))
        with far:
            for client, value in ((near, 140), (far, 150)):
                send(client, observation(**BARE, valueQuantity=quantity(value, "mmol/L")), STAY, document(**BARE))
    assert sorted(point["value"] for point in rows(door, points)) == [140, 150]
    assert len({row["patient_key"] for row in rows(door, inputs)}) == 2
    assert len({case["case_key"] for case in rows(door, cases)}) == 4


OLD = patient(id="old", identifier=[{"system": "urn:oid:1.2.3", "value": "4711"}])


@pytest.mark.parametrize(("kind", "joined"), [("replaces", 1), ("seealso", 0)])
def test_a_patient_that_replaces_another_is_one_person_with_it_until_that_is_undone(client, door, kind, joined):
    send(client, OLD, patient(link=[{"type": kind, "other": {"reference": "Patient/old"}}]))
    assert len(rows(door, aliases)) == joined
    with door.intake.database.write() as (connection, now):
        for alias in list_merges(connection):
            assert undo_merge(Commit(connection=connection, now=now, window=door.intake.window), alias["id"])
    assert all(alias["undone_at"] for alias in rows(door, aliases))


def test_a_patient_that_was_replaced_names_the_one_that_holds(client, door):
    old = {**OLD, "link": [{"type": "replaced-by", "other": {"reference": "Patient/p1"}}]}
    send(client, patient(), observation(**BARE), old, observation(id="o2", subject={"reference": "Patient/old"}))
    (alias,) = rows(door, aliases)
    assert {alias["other"], alias["patient_key"]} == {point["patient_key"] for point in rows(door, points)}


def test_a_note_that_was_judged_before_its_patient_came_is_judged_again_with_age_and_sex(client, door):
    send(client, document(**BARE), patient())
    first, second = rows(door, events)
    assert (first["revision"], second["revision"]) == (1, 2)
    assert "age_years" not in first["facts"]
    assert (second["facts"]["age_years"], second["facts"]["sex"], second["digest"]) == (75, "female", first["digest"])


def test_a_note_that_knew_its_patient_is_not_judged_again(client, door):
    send(client, patient(), document(**BARE), patient(active=True))
    assert len(rows(door, events)) == 1


@pytest.mark.parametrize("status", [{"status": "entered-in-error"}, {"docStatus": "preliminary"}])
def test_a_note_that_is_taken_back_or_not_released_is_not_judged_when_its_patient_comes(client, door, status):
    send(client, document(**BARE), document(**BARE, **status, content=[{"attachment": attachment("Another text " * 9)}]), patient())
    assert len(rows(door, events)) == 1


def test_what_was_refused_is_kept_with_its_place(client, door):
    wrong = observation(status=7)
    assert client.post("/fhir/Observation", json=wrong).status_code == 422
    assert client.post("/fhir", json=bundle("batch", observation(), wrong)).status_code == 200
    door.intake.stop()
    alone, entry = rows(door, refusals)
    assert (alone["place"], json.loads(alone["content"])) == ("Observation.status", wrong)
    assert (entry["place"], json.loads(entry["content"])["resource"]) == ("Bundle.entry[1].resource.status", wrong)
