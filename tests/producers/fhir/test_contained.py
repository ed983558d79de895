"""Observations inside a DiagnosticReport, sent to the real port: a newer version of the report is the whole of them."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fhir_samples import NOTE, bundle, document, loinc, observation, quantity, rows, running_http

from db.tables import events, inputs, points
from producers.door import Door


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    with running_http(door) as client:
        yield client


def report_of(*contained: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A report of one patient's results, version 1."""
    whole = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "code": loinc("24326-1")}
    return whole | {"subject": document()["subject"], "contained": list(contained)} | more


def inner(name: str, code: str, value: float, **more: Any) -> dict[str, Any]:
    return observation(id=name, subject=None, code=loinc(code), valueQuantity=quantity(value, "mmol/L"), **more)


def standing(door: Door) -> dict[str, float]:
    return {point["code"]: point["value"] for point in rows(door, points) if point["value"] is not None}


SODIUM, POTASSIUM = inner("o1", "2951-2", 140), inner("o2", "2823-3", 4.5)


def test_a_report_of_a_listed_type_is_a_note_and_its_contained_results_are_points(client, door):
    contained = observation(id="o1", subject=None)
    report = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "code": loinc("11504-8"), "conclusion": NOTE}
    report |= {"subject": document()["subject"], "contained": [contained], "result": [{"reference": "#o1"}]}
    assert client.post("/fhir/DiagnosticReport", json=report).status_code == 201
    assert ([event["modality"] for event in rows(door, events)], [point["value"] for point in rows(door, points)]) == (
        ["note"],
        [140.0],
    )


def test_contained_results_of_reports_without_an_id_are_their_own_patients(client, door):
    def report(number: str, value: float) -> dict[str, Any]:
        subject = {"identifier": {"system": "urn:oid:1.2.3", "value": number}}
        contained = [observation(id="o1", subject=None, valueQuantity=quantity(value, "mmol/L"))]
        whole = {"resourceType": "DiagnosticReport", "status": "final", "code": loinc("24323-8"), "subject": subject}
        return whole | {"contained": contained, "result": [{"reference": "#o1"}]}

    for number, value in (("1", 140), ("2", 150), ("1", 141)):
        client.post("/fhir", json=bundle("batch", report(number, value)))
    kept = sorted((point["patient_key"] == rows(door, points)[0]["patient_key"], point["value"]) for point in rows(door, points))
    assert kept == [(False, 150.0), (True, 141.0)]


def test_a_contained_result_that_cannot_be_read_is_named_and_the_rest_of_its_report_is_taken(client, door):
    contained = [observation(id="o1", subject=None, status=None), observation(id="o2", subject=None)]
    report = {"resourceType": "DiagnosticReport", "id": "r1", "status": "final", "code": loinc("11504-8"), "conclusion": NOTE}
    answer = client.post("/fhir/DiagnosticReport", json=report | {"subject": document()["subject"], "contained": contained})
    assert (answer.status_code, len(rows(door, events)), len(rows(door, points))) == (201, 1, 1)
    (_, warning) = answer.json()["issue"]
    assert warning["diagnostics"] == "refused point 2951-2: status is missing or no string"
    assert warning["expression"] == ["DiagnosticReport.contained[0].status"]


def test_two_contained_results_refused_for_one_reason_are_each_named(client, door):
    contained = [observation(id=name, subject=None, effectiveDateTime=None) for name in ("o1", "o2")]
    report = document(resourceType="DiagnosticReport", status="final", code=loinc("24323-8"), contained=contained)
    _, *warnings = client.post("/fhir/DiagnosticReport", json=report).json()["issue"]
    places = [f"DiagnosticReport.contained[{place}].value" for place in (0, 1)]
    assert [one["expression"] for one in warnings] == [[place] for place in places]


def test_a_report_that_was_taken_back_takes_back_what_it_contains(client, door):
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": loinc("24326-1"),
        "subject": document()["subject"],
    }
    report["contained"] = [observation(id="o1", subject=None)]
    client.put("/fhir/DiagnosticReport/r1", json=report)
    client.put("/fhir/DiagnosticReport/r1", json=report | {"status": "entered-in-error"})
    assert [point["value"] for point in rows(door, points)] == [None]


@pytest.mark.parametrize(
    ("later", "left"),
    [
        ([SODIUM], {"2951-2": 140.0}),
        ([inner("o3", "2951-2", 141)], {"2951-2": 141.0}),
        ([], {}),
        ([SODIUM, {**POTASSIUM, "status": None}], {"2951-2": 140.0}),
    ],
)
def test_a_contained_result_that_a_newer_version_of_its_report_leaves_out_is_taken_back(client, door, later, left):
    client.put("/fhir/DiagnosticReport/r1", json=report_of(SODIUM, POTASSIUM))
    assert standing(door) == {"2951-2": 140.0, "2823-3": 4.5}
    assert client.put("/fhir/DiagnosticReport/r1", json=report_of(*later)).status_code == 201
    assert standing(door) == left
    assert [row["disposition"] for row in rows(door, inputs)] == ["timeline", "timeline"]


def test_a_contained_result_that_the_report_no_longer_names_is_taken_back_and_told(client, door):
    both = [{"reference": "#o1"}, {"reference": "#o2"}]
    client.put("/fhir/DiagnosticReport/r1", json=report_of(SODIUM, POTASSIUM, result=both))
    answer = client.put("/fhir/DiagnosticReport/r1", json=report_of(SODIUM, POTASSIUM, result=both[:1]))
    assert standing(door) == {"2951-2": 140.0}
    (_, warning) = answer.json()["issue"]
    assert warning["diagnostics"] == "refused point 2823-3: the report does not name it as a result"
    assert warning["expression"] == ["DiagnosticReport.contained[1]"]


def test_the_members_of_a_contained_panel_are_named_by_it(client, door):
    panel = {**inner("p", "24326-1", 0), "hasMember": [{"reference": "#o1"}, {"reference": "#o2"}]}
    client.put("/fhir/DiagnosticReport/r1", json=report_of(panel, SODIUM, POTASSIUM, result=[{"reference": "#p"}]))
    assert standing(door) == {"2951-2": 140.0, "2823-3": 4.5}


@pytest.mark.parametrize("dated", ["report", "results", "report's issue"])
def test_an_older_version_of_a_report_takes_nothing_back(client, door, dated):
    def version(hour: int, *contained: dict[str, Any]) -> dict[str, Any]:
        at = f"2026-03-01T{hour:02}:00:00Z"
        inside = [one | {"issued": at} for one in contained] if dated == "results" else contained
        more = {"report": {"meta": {"lastUpdated": at}}, "report's issue": {"issued": at}}.get(dated, {})
        return report_of(*inside, **more)

    client.put("/fhir/DiagnosticReport/r1", json=version(10, SODIUM, POTASSIUM))
    client.put("/fhir/DiagnosticReport/r1", json=version(9, SODIUM))
    assert standing(door) == {"2951-2": 140.0, "2823-3": 4.5}
    client.put("/fhir/DiagnosticReport/r1", json=version(11, inner("o1", "2951-2", 141)))
    assert standing(door) == {"2951-2": 141.0}


def test_results_of_a_report_that_is_dated_once_for_each_are_versions_of_the_report(client, door):
    early, late = {"issued": "2026-03-01T08:00:00Z"}, {"issued": "2026-03-01T09:00:00Z"}
    client.put("/fhir/DiagnosticReport/r1", json=report_of(SODIUM | early, POTASSIUM | late))
    client.put("/fhir/DiagnosticReport/r1", json=report_of(inner("o1", "2951-2", 141) | early, POTASSIUM | late))
    assert standing(door) == {"2951-2": 141.0, "2823-3": 4.5}


def test_a_report_taken_back_before_it_came_stays_away(client, door):
    later, earlier = ({"meta": {"lastUpdated": f"2026-03-01T{hour}:00:00Z"}} for hour in ("10", "09"))
    client.put("/fhir/DiagnosticReport/r1", json=report_of(status="entered-in-error", subject=None, **later))
    client.put("/fhir/DiagnosticReport/r1", json=report_of(SODIUM, **earlier))
    assert standing(door) == {}


def test_a_report_without_its_patient_takes_nothing_back(client, door):
    client.put("/fhir/DiagnosticReport/r1", json=report_of(SODIUM))
    client.put("/fhir/DiagnosticReport/r1", json=report_of(subject=None))
    assert standing(door) == {"2951-2": 140.0}


def test_a_report_with_an_id_and_no_results_of_its_own_says_why_it_is_not_used(client, door):
    client.put("/fhir/DiagnosticReport/r1", json=report_of(result=[{"reference": "Observation/o1"}]))
    assert [row["reason"] for row in rows(door, inputs)] == ["its results come as Observations"]
