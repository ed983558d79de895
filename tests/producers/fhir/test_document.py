"""Documents and reports sent to the real port: which become notes, which are taken back, which are not used."""

import time
from collections.abc import Iterator

import httpx
import pytest
from fhir_samples import (
    HOSPITAL_NUMBER,
    NOTE,
    attachment,
    bundle,
    document,
    loinc,
    patient,
    rows,
    running_http,
)

from db.tables import cases, events, inputs
from producers.door import Door
from producers.markup import strip_tags


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    with running_http(door) as client:
        yield client


def test_a_base64_note_becomes_an_event_with_its_facts(client, door):
    subject = {"subject": {"reference": "Patient/p1"}}
    answer = client.post("/fhir", json=bundle("batch", patient(), document(**subject)))
    assert answer.status_code == 200
    (event,) = rows(door, events)
    assert (event["modality"], event["lane"], event["revision"]) == ("note", "routine", 1)
    assert event["facts"] == {"document_type": "11504-8", "language": "en", "age_years": 75, "sex": "female"}
    assert event["acquired_at"].isoformat() == "2026-03-01T08:00:00+00:00"


def test_a_date_that_is_still_to_come_is_no_time_of_writing(client, door):
    ahead = attachment(NOTE) | {"creation": "2999-03-01T08:00:00Z"}
    client.post("/fhir/DocumentReference", json=document(date="2999-03-01T08:00:00Z", content=[{"attachment": ahead}]))
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": loinc("11504-8"), "conclusion": NOTE}
    report |= {"subject": document()["subject"], "issued": "2999-03-01T08:00:00Z"}
    client.post("/fhir/DiagnosticReport", json=report)
    found = rows(door, events)
    assert [event["acquired_at"] for event in found] == [None, None]
    assert all(event["as_of"] == event["received_at"] for event in found)


def test_html_is_read_without_its_tags(client, door):
    html = "<html><head><style>p {}</style></head><body><p>Operative report:</p><p>appendectomy &amp; drainage</p></body></html>"
    assert strip_tags(html) == "Operative report:\nappendectomy & drainage"
    client.post("/fhir/DocumentReference", json=document(content=[{"attachment": attachment(html, "text/html; charset=utf-8")}]))
    assert len(rows(door, events)) == 1


@pytest.mark.parametrize("piece", ["<!--", "<a ", "<", "</", "<a b='", "<script></script", "<head></head ", "<script>"])
def test_html_that_never_ends_is_read_in_a_moment(piece):
    began = time.monotonic()
    strip_tags(piece * (1_000_000 // len(piece)))
    assert time.monotonic() - began < 5


def test_an_edit_is_the_next_revision(client, door):
    client.put("/fhir/DocumentReference/d1", json=document())
    client.put("/fhir/DocumentReference/d1", json=document(content=[{"attachment": attachment(NOTE + " Corrected.")}]))
    assert [event["revision"] for event in rows(door, events)] == [1, 2]


def test_a_document_under_another_id_is_known_by_its_master_identifier(client, door):
    master = {"masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3.4"}}
    client.put("/fhir/DocumentReference/d1", json=document(**master))
    edited = document(id="d2", content=[{"attachment": attachment(NOTE + " Corrected.")}], **master)
    client.put("/fhir/DocumentReference/d2", json=edited)
    assert [event["revision"] for event in rows(door, events)] == [1, 2]
    assert len(rows(door, cases)) == 1


def test_a_preliminary_document_waits_until_it_is_released(client, door):
    client.put("/fhir/DocumentReference/d1", json=document(docStatus="preliminary"))
    assert ([row["disposition"] for row in rows(door, inputs)], rows(door, events)) == (["collecting"], [])


def test_entered_in_error_takes_a_document_back(client, door):
    client.put("/fhir/DocumentReference/d1", json=document())
    client.put("/fhir/DocumentReference/d1", json=document(status="entered-in-error"))
    assert [case["retracted_revision"] for case in rows(door, cases)] == [1]


def test_a_document_that_replaces_another_takes_that_one_back(client, door):
    client.put("/fhir/DocumentReference/d1", json=document())
    related = [{"code": "replaces", "target": {"reference": "DocumentReference/d1"}}]
    client.put("/fhir/DocumentReference/d2", json=document(id="d2", relatesTo=related))
    assert [(case["revision"], case["retracted_revision"]) for case in rows(door, cases)] == [(1, 1), (1, 0)]


def version(hour: int, **more):
    return document(meta={"lastUpdated": f"2026-03-02T{hour}:00:00Z"}, **more)


def standing(client, door, *documents):
    """Send one after the other; gives how many revisions each case has, and how many of them were taken back."""
    for one in documents:
        client.put(f"/fhir/DocumentReference/{one['id']}", json=one)
    return [(case["revision"], case["retracted_revision"]) for case in rows(door, cases)]


def test_an_older_version_opens_no_document_that_was_entered_in_error(client, door):
    error = version(12, status="entered-in-error")
    late = version(11, content=[{"attachment": attachment(NOTE + " Late.")}])
    assert standing(client, door, version(10), error, late) == [(1, 1)]


def test_a_document_whose_error_was_told_before_it_is_not_judged(client, door):
    assert standing(client, door, document(status="entered-in-error"), document()) == [(0, 0)]


def test_a_document_whose_replacement_was_told_before_it_is_not_judged(client, door):
    related = [{"code": "replaces", "target": {"reference": "DocumentReference/d1"}}]
    assert standing(client, door, version(11, id="d2", relatesTo=related), version(12)) == [(1, 0), (0, 0)]


def test_a_superseded_document_is_taken_back(client, door):
    assert standing(client, door, version(10), version(11, status="superseded")) == [(1, 1)]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"type": loinc("99999-9")}, "document type is not on the list"),
        ({"content": [{"attachment": {"contentType": "text/plain", "url": "http://elsewhere/1"}}]}, "attachment is elsewhere"),
        ({"content": [{"attachment": attachment("%PDF", "application/pdf")}]}, "attachment is not text"),
        ({"content": []}, "it has no text"),
        ({"content": [{"attachment": attachment("see attached report")}]}, "not a note"),
        ({"status": "unheard-of"}, "its status is not current"),
        ({"subject": {"reference": "Group/1"}}, "no patient is named"),
    ],
)
def test_what_is_no_note_is_kept_with_the_reason(client, door, more, reason):
    assert client.post("/fhir/DocumentReference", json=document(**more)).status_code == 201
    (row,) = rows(door, inputs)
    assert row["disposition"] == "not_used"
    assert reason in row["reason"]


def test_broken_base64_is_refused_with_its_fhirpath(client, door):
    broken = document(content=[{"attachment": {"contentType": "text/plain", "data": "?"}}])
    answer = client.post("/fhir/DocumentReference", json=broken)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["DocumentReference.content[0].attachment.data"]


def test_a_laboratory_report_without_text_is_not_used(client, door):
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": loinc("24326-1"), "subject": document()["subject"]}
    client.post("/fhir/DiagnosticReport", json=report)
    assert [row["reason"] for row in rows(door, inputs)] == ["its results come as Observations"]


def test_a_corrected_subject_files_the_document_under_the_right_patient(client, door):
    client.put("/fhir/DocumentReference/d1", json=document())
    number = {"type": HOSPITAL_NUMBER, "system": "urn:oid:1.2.3", "value": "0999"}
    client.put("/fhir/DocumentReference/d1", json=document(subject={"identifier": number}))
    (wrong, right), (case,) = rows(door, events), rows(door, cases)
    assert (case["patient_key"], case["retracted_revision"]) == (right["patient_key"], wrong["revision"])
    assert wrong["patient_key"] != right["patient_key"]
