"""A started HTTP port, and FHIR resources as a hospital's server sends them, for the tests of the FHIR feed."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
