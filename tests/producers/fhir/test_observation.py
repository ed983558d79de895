"""Observations sent to the real port: what stands on the timeline afterwards, and what the sender is told."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fhir_samples import bundle, loinc, observation, quantity, rows, running_http

from db.tables import inputs, points, refused_points
from producers.door import Door
from stream.points import FLAG_ABOVE, FLAG_BELOW, FLAG_CORRECTED, FLAG_PRELIMINARY, FLAG_REPEATED_HOUR


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    with running_http(door) as client:
        yield client


def put(client: httpx.Client, resource: dict[str, Any]) -> httpx.Response:
    return client.put(f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource)


def diagnostics(answer: httpx.Response) -> str:
    return "; ".join(issue["diagnostics"] for issue in answer.json()["issue"])


def test_a_result_is_on_the_timeline_when_its_sender_is_answered(client, door):
    answer = client.post("/fhir/Observation", json=observation())
    assert (answer.status_code, answer.headers["location"]) == (201, "/fhir/Observation/na1")
    (point,) = rows(door, points)
    assert (point["code"], point["value"], point["flags"]) == ("2951-2", 140.0, 0)
    assert point["observed_at"].isoformat() == "2026-03-01T07:00:00+00:00"
    (sent,) = rows(door, inputs)
    assert (sent["sender_id"], sent["disposition"], sent["feed"]) == ("Observation/na1", "timeline", "fhir")


def test_the_same_resource_again_is_one_input_and_answered_200(client, door):
    first = client.post("/fhir/Observation", json=observation())
    written_otherwise = json.dumps(dict(reversed(observation().items())), indent=2)
    again = client.post("/fhir/Observation", content=written_otherwise, headers={"Content-Type": "application/json"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert len(rows(door, inputs)) == 1


def test_a_value_in_another_unit_is_converted_to_the_analytes_own(client, door):
    client.post("/fhir/Observation", json=observation(code=loinc("14682-9"), valueQuantity=quantity(88.42, "umol/L")))
    assert rows(door, points)[0]["value"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "when",
    [
        {"effectivePeriod": {"start": "2026-03-01T08:00:00+01:00", "end": "2026-03-01T09:00:00+01:00"}},
        {"effectiveInstant": "2026-03-01T08:00:00+01:00"},
    ],
)
def test_a_period_counts_from_its_start_and_an_instant_as_it_is(client, door, when):
    sent = observation(**when)
    del sent["effectiveDateTime"]
    client.post("/fhir/Observation", json=sent)
    assert [point["observed_at"].isoformat() for point in rows(door, points)] == ["2026-03-01T07:00:00+00:00"]


@pytest.mark.parametrize(("sign", "flag"), [("<", FLAG_BELOW), ("<=", FLAG_BELOW), (">", FLAG_ABOVE), (">=", FLAG_ABOVE)])
def test_a_comparator_keeps_the_bound_and_is_flagged(client, door, sign, flag):
    client.post("/fhir/Observation", json=observation(valueQuantity=quantity(140, "mmol/L", comparator=sign)))
    assert (rows(door, points)[0]["value"], rows(door, points)[0]["flags"]) == (140.0, flag)


def test_components_become_results_of_their_own(client, door):
    pressure = [
        {"code": loinc("8480-6"), "valueQuantity": quantity(120, "mm[Hg]")},
        {"code": loinc("8462-4"), "valueQuantity": quantity(80, "mm[Hg]")},
    ]
    sent = observation(code=loinc("85354-9"), component=pressure)
    del sent["valueQuantity"]
    client.post("/fhir/Observation", json=sent)
    assert {(point["code"], point["value"]) for point in rows(door, points)} == {("76534-7", 120.0), ("76535-4", 80.0)}


def test_an_unknown_unit_is_named_in_the_answer_and_the_rest_is_used(client, door):
    parts = [
        {"code": loinc("8480-6"), "valueQuantity": quantity(120, "furlong")},
        {"code": loinc("8462-4"), "valueQuantity": quantity(80, "mm[Hg]")},
    ]
    answer = client.post("/fhir/Observation", json=observation(code=loinc("85354-9"), component=parts, valueQuantity=None))
    assert answer.status_code == 201
    assert "refused point 76534-7: unknown unit" in diagnostics(answer)
    assert answer.json()["issue"][1]["expression"] == ["Observation.component[0].value"]
    assert [point["code"] for point in rows(door, points)] == ["76535-4"]
    (refused,) = rows(door, refused_points)
    assert (refused["code"], refused["reason"]) == ("76534-7", "unknown unit")
    assert refused["observed_at"].isoformat() == "2026-03-01T07:00:00+00:00"


def test_a_refused_point_in_a_bundle_is_named_with_its_entry(client):
    sent = bundle("batch", observation(id="o1"), observation(id="o2", valueQuantity=quantity(140, "furlong")))
    (first, second) = client.post("/fhir", json=sent).json()["entry"]
    assert len(first["response"]["outcome"]["issue"]) == 1
    assert second["response"]["outcome"]["issue"][1]["expression"] == ["Bundle.entry[1].resource.value"]


def test_a_resource_sent_again_after_the_tables_were_mended_still_hears_what_was_not_taken(client, door):
    sent = observation(valueQuantity=quantity(140, ""))
    first = diagnostics(client.post("/fhir/Observation", json=sent))
    object.__setattr__(door.feeds.feed("fhir"), "default_units", {"2951-2": "mmol/L"})  # as after a restart
    again = client.post("/fhir/Observation", json=sent)
    assert (again.status_code, rows(door, points)) == (200, [])
    assert "refused point 2951-2: no unit" in first
    assert "refused point 2951-2: no unit" in diagnostics(again)


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
def test_a_result_that_was_taken_back_loses_its_value(client, door, status):
    put(client, observation())
    assert put(client, observation(status=status)).status_code == 201
    assert [point["value"] for point in rows(door, points)] == [None]


def test_a_correction_replaces_and_is_flagged(client, door):
    put(client, observation(meta={"lastUpdated": "2026-03-01T09:00:00Z"}))
    put(
        client, observation(meta={"lastUpdated": "2026-03-01T10:00:00Z"}, status="corrected", valueQuantity=quantity(130, "mmol/L"))
    )
    (point,) = rows(door, points)
    assert (point["value"], point["flags"]) == (130.0, FLAG_CORRECTED)


@pytest.mark.parametrize("ahead", [{"issued": "2099-03-01T09:00:00Z"}, {"meta": {"lastUpdated": "2099-03-01T09:00:00Z"}}])
def test_a_clock_that_runs_ahead_cannot_shut_out_later_corrections(client, door, ahead):
    put(client, observation(**ahead))
    put(client, observation(status="corrected", valueQuantity=quantity(130, "mmol/L")))
    (point,) = rows(door, points)
    assert (point["value"], point["available_at"].year < 2099) == (130.0, True)


def test_an_older_last_updated_never_replaces_a_newer_one(client, door):
    put(client, observation(meta={"lastUpdated": "2026-03-01T10:00:00Z"}, valueQuantity=quantity(130, "mmol/L")))
    put(client, observation(meta={"lastUpdated": "2026-03-01T09:00:00Z"}))
    assert [point["value"] for point in rows(door, points)] == [130.0]


def test_a_preliminary_result_is_kept_and_flagged(client, door):
    put(client, observation(status="preliminary"))
    assert rows(door, points)[0]["flags"] == FLAG_PRELIMINARY


def test_issued_is_when_a_result_was_available(client, door):
    put(client, observation(issued="2026-03-01T09:30:00Z"))
    assert rows(door, points)[0]["available_at"].isoformat() == "2026-03-01T09:30:00+00:00"


def test_one_number_under_two_authorities_is_two_patients(client, door):
    for place, system in enumerate(("urn:oid:1", "urn:oid:2")):
        client.post("/fhir/Observation", json=observation(id=f"o{place}", subject={"identifier": {"system": system, "value": "7"}}))
    assert len({point["patient_key"] for point in rows(door, points)}) == 2


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"effectiveDateTime": "2026-03-01"}, "a date without a time"),
        ({"effectiveDateTime": "2099-03-01T00:00:00Z"}, "observed in the future"),
        ({"effectiveDateTime": None}, "no observation time"),
        ({"valueQuantity": {"value": 140}}, "no unit"),
        ({"valueQuantity": None, "valueString": "1:128"}, "a titre"),
        ({"valueQuantity": None, "valueString": "many"}, "not a number"),
        ({"valueQuantity": None, "valueRange": {"low": {"value": 1}}}, "not a single number"),
        ({"valueQuantity": quantity(140, "kg")}, "unit does not fit Na"),
        ({"valueQuantity": quantity(1e9, "mmol/L")}, "outside the physical range"),
    ],
)
def test_a_point_that_cannot_be_used_is_named_with_its_reason(client, door, more, reason):
    answer = client.post("/fhir/Observation", json=observation(**more))
    assert (answer.status_code, rows(door, points)) == (201, [])
    assert f"refused point 2951-2: {reason}" in diagnostics(answer)


@pytest.mark.parametrize(
    ("value", "expected", "flags"),
    [("<5 mmol/L", None, 0), ("<100 mmol/L", 100.0, FLAG_BELOW), ("139,5 mmol/L", 139.5, 0), ("> 150 mmol/L", 150.0, FLAG_ABOVE)],
)
def test_numbers_are_read_as_hospitals_write_them_in_strings(client, door, value, expected, flags):
    client.post("/fhir/Observation", json=observation(valueQuantity=None, valueString=value))
    assert [(point["value"], point["flags"]) for point in rows(door, points)] == ([(expected, flags)] if expected else [])


def test_urea_is_urea_nitrogen_in_moles_alone(client, door):
    for unit in ("mg/dL", "mmol/L"):
        client.post("/fhir/Observation", json=observation(code=loinc("22664-7"), id=unit[:2], valueQuantity=quantity(10, unit)))
    assert [(point["code"], round(point["value"], 1)) for point in rows(door, points)] == [("3094-0", 28.0)]


def test_a_score_needs_no_unit(client, door):
    client.post("/fhir/Observation", json=observation(code=loinc("9269-2"), valueQuantity=None, valueInteger=15))
    assert [point["value"] for point in rows(door, points)] == [15.0]


def test_a_missing_value_with_its_reason_is_no_refusal(client, door):
    answer = client.post("/fhir/Observation", json=observation(valueQuantity=None, dataAbsentReason={"text": "unknown"}))
    assert "no result with a value" in diagnostics(answer)
    assert rows(door, refused_points) == []


def pressure(*values: float, **more: Any) -> dict[str, Any]:
    """A panel of blood pressure: systolic and diastolic, or what there is of them."""
    codes = ("8480-6", "8462-4")[-len(values) :] if values else ()
    parts = [{"code": loinc(code), "valueQuantity": quantity(value, "mm[Hg]")} for code, value in zip(codes, values, strict=True)]
    sent = observation(code=loinc("85354-9"), component=parts, **more)
    del sent["valueQuantity"]
    return sent


def version(hour: int, **more: Any) -> dict[str, Any]:
    return {"meta": {"lastUpdated": f"2026-03-01T{hour:02}:00:00Z"}, **more}


def standing(door: Door) -> dict[str, float]:
    return {point["code"]: point["value"] for point in rows(door, points) if point["value"] is not None}


@pytest.mark.parametrize("status", ["corrected", "amended", "final"])
@pytest.mark.parametrize("value", [{"dataAbsentReason": {"text": "clotted"}}, {"valueString": "clotted"}])
def test_a_newer_version_without_a_value_takes_the_old_one_away(client, door, status, value):
    put(client, observation(**version(9)))
    put(client, observation(**version(10), status=status, valueQuantity=None, **value))
    assert standing(door) == {}


def test_a_correction_without_a_value_holds_against_the_older_version(client, door):
    put(client, observation(**version(10), status="corrected", valueQuantity=None))
    put(client, observation(**version(9)))
    assert standing(door) == {}


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "corrected"])
def test_a_panel_taken_back_without_its_components_takes_them_along(client, door, status):
    put(client, pressure(220, 110, **version(9)))
    put(client, pressure(**version(10), status=status, subject=None))
    assert standing(door) == {}


def test_a_component_that_a_newer_version_leaves_out_is_taken_back(client, door):
    put(client, pressure(220, 110, **version(9)))
    put(client, pressure(80, **version(10)))
    assert standing(door) == {"76535-4": 80.0}


def test_a_panel_taken_back_before_it_came_stays_away(client, door):
    put(client, pressure(**version(10), status="entered-in-error"))
    put(client, pressure(220, 110, **version(9)))
    assert standing(door) == {}


def test_a_result_taken_back_without_its_patient_stays_that_patients(client, door):
    put(client, observation(**version(9)))
    (before,) = rows(door, points)
    put(client, observation(**version(10), status="entered-in-error", subject=None))
    (after,) = rows(door, points)
    assert (after["value"], after["patient_key"]) == (None, before["patient_key"])


def test_a_code_of_no_analyte_is_an_input_that_is_not_used(client, door):
    answer = client.post("/fhir/Observation", json=observation(code={"text": "mood"}))
    assert answer.status_code == 201
    assert [(row["disposition"], row["reason"]) for row in rows(door, inputs)] == [("not_used", "no analyte has this code")]


@pytest.mark.parametrize(
    ("more", "where"), [({"status": None}, "status"), ({"status": "gone"}, "status"), ({"code": "2951-2"}, "code")]
)
def test_a_required_element_that_is_missing_or_wrong_is_refused_with_its_fhirpath(client, door, more, where):
    answer = client.post("/fhir/Observation", json=observation(**more))
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == [f"Observation.{where}"]
    assert rows(door, inputs) == []


def test_a_local_code_counts_once_the_operator_has_mapped_it(door):
    door.feeds.folder.mkdir()
    (door.feeds.folder / "codes.csv").write_text("sent,loinc\nNATRIUM,2951-2\n")
    (door.feeds.folder / "feeds.toml").write_text('[fhir]\ntime_zone = "Europe/Berlin"\ndefault_units = { "2951-2" = "mmol/L" }\n')
    sent = observation(
        code={"coding": [{"code": "Natrium"}]}, valueQuantity={"value": 140}, effectiveDateTime="2025-10-26T02:30:00"
    )
    with running_http(door) as client:
        client.post("/fhir/Observation", json=sent)
    (point,) = rows(door, points)
    assert (point["code"], point["value"], point["flags"]) == ("2951-2", 140.0, FLAG_REPEATED_HOUR)
