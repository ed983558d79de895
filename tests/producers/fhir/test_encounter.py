"""Encounters sent to the real port: a newer version stands in place of an older one, whatever order they come in."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fhir_samples import HOSPITAL_NUMBER, bundle, configure, encounter, patient, rows, running_http

from db.tables import cases, inputs, movements
from producers.door import Door

#: The moments at which the server changed it.
FIRST, SECOND, THIRD = ({"meta": {"lastUpdated": f"2026-03-02T{hour}:00:00Z"}} for hour in ("10", "11", "12"))
ELSEWHERE = [{"location": {"display": "Ward 5"}, "period": {"start": "2026-03-01T09:00:00Z"}}]
LATER = [{"location": {"display": "micu"}, "period": {"start": "2026-03-01T14:00:00Z"}}]
WARD = encounter()["location"][1]


@pytest.fixture
def client(door: Door) -> Iterator[httpx.Client]:
    with running_http(door) as client:
        yield client


def send(client: httpx.Client, door: Door, *versions: dict[str, Any]) -> list[str | None]:
    """Send one version after the other; gives the origin of each stay that there is then."""
    for version in versions:
        assert client.post("/fhir", json=bundle("batch", patient(), version)).status_code == 200
    return [row["origin_at"] and row["origin_at"].strftime("%H:%M") for row in rows(door, cases)]


def undated(place):
    return encounter(location=[{"location": {"display": place}}], period={"start": "2026-03-01T06:00:00Z"})


def test_a_server_that_tells_the_present_location_alone_takes_no_origin_away(client, door):
    client.post("/fhir", json=bundle("batch", patient(), undated("micu")))
    client.post("/fhir", json=bundle("batch", patient(), undated("Ward 5")))
    assert [case["origin_at"].isoformat() for case in rows(door, cases)] == ["2026-03-01T06:00:00+00:00"]


def test_a_location_that_is_corrected_is_where_the_patient_was(client, door):
    assert send(client, door, encounter(**FIRST), encounter(location=[WARD, *ELSEWHERE], **SECOND)) == [None]


def test_a_corrected_beginning_of_intensive_care_moves_the_origin(client, door):
    assert send(client, door, encounter(**FIRST), encounter(location=[WARD, *LATER], **SECOND)) == ["14:00"]


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "planned"])
def test_an_encounter_that_is_taken_back_leaves_no_origin(client, door, status):
    assert send(client, door, encounter(**FIRST), encounter(status=status, **SECOND)) == [None]


def test_an_outpatient_who_was_taken_for_an_inpatient_has_no_stay(client, door):
    assert send(client, door, encounter(**FIRST), encounter(**SECOND, **{"class": {"code": "AMB"}})) == [None]


def test_an_older_version_that_comes_late_changes_nothing(client, door):
    moved = encounter(location=[WARD, *LATER], **SECOND)
    assert send(client, door, moved, encounter(**FIRST)) == ["14:00"]
    assert rows(door, inputs)[-1]["reason"] == "an older version of an encounter that is known"


def test_a_cancel_that_comes_before_what_it_cancels_holds(client, door):
    assert send(client, door, encounter(status="entered-in-error", **SECOND), encounter(**FIRST)) == []
    assert send(client, door, encounter(**THIRD)) == ["09:00"]


def test_versions_without_a_date_hold_in_the_order_of_their_coming(client, door):
    assert send(client, door, encounter(), encounter(location=[WARD, *LATER])) == ["14:00"]


def test_a_version_with_the_same_course_has_nothing_taken_back_and_is_kept_once(client, door):
    assert send(client, door, encounter(**FIRST), encounter(priority={"text": "urgent"}, **SECOND)) == ["09:00"]
    assert len(rows(door, movements)) == 2


@pytest.mark.parametrize("location", [[], [{"location": {"display": "Ward 5"}}]])
def test_a_version_that_does_not_say_since_when_the_patient_was_where_takes_nothing_back(client, door, location):
    assert send(client, door, encounter(**FIRST), encounter(location=location, **SECOND)) == ["09:00"]


def test_an_origin_in_the_hour_that_stands_twice_is_flagged_until_it_is_another(door):
    configure(door, '[fhir]\ntime_zone = "Europe/Berlin"\n')
    places = [[{"location": {"display": "micu"}, "period": {"start": f"2025-10-26T02:30:00{offset}"}}] for offset in ("", "+01:00")]
    with running_http(door) as client:
        for version, place, flagged in zip((FIRST, SECOND), places, (True, False), strict=True):
            send(client, door, encounter(location=place, **version))
            assert rows(door, cases)[0]["facts"].get("repeated_hour", False) is flagged


def test_two_encounters_of_one_visit_each_tell_their_own_part(client, door):
    visit = {"identifier": [{"system": "urn:visits", "value": "V1"}]}
    other = encounter(id="e2", location=LATER, **visit, **FIRST)
    assert send(client, door, encounter(**visit, **FIRST), other) == ["09:00"]
    assert send(client, door, encounter(status="entered-in-error", **visit, **SECOND)) == ["14:00"]


def test_a_corrected_subject_takes_the_stay_to_the_right_patient(client, door):
    number = {"type": HOSPITAL_NUMBER, "system": "urn:oid:1.2.3", "value": "0999"}
    send(client, door, encounter(**FIRST))
    (wrong,) = [row["patient_key"] for row in rows(door, cases)]
    send(client, door, encounter(subject={"identifier": number}, **SECOND))
    (right,) = [row["patient_key"] for row in rows(door, cases)]
    assert right != wrong
    send(client, door, encounter(subject={"reference": "Patient/unknown"}, **THIRD))
    assert [row["patient_key"] for row in rows(door, cases)] == [right]


@pytest.mark.parametrize("more", [{}, {"location": []}, {"location": [{"location": {"display": "micu"}}]}])
def test_a_stay_that_begins_in_the_future_is_refused(client, door, more):
    ahead = {"start": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    places = [{**one, "period": ahead} for one in encounter()["location"]]
    answer = client.post("/fhir/Encounter", json=encounter(period=ahead, **{"location": places, **more}))
    (issue,) = answer.json()["issue"]
    assert (answer.status_code, issue["diagnostics"], issue["expression"]) == (422, "in the future", ["Encounter.period"])
    assert rows(door, inputs) == rows(door, movements) == rows(door, cases) == []


def test_where_a_patient_will_be_is_no_movement_yet_and_neither_is_an_end_to_come(client, door):
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    to_come = {"location": {"display": "micu"}, "period": {"start": ahead}}
    stay = encounter(location=[WARD, to_come], status="finished", period={"start": "2026-03-01T06:00:00Z", "end": ahead})
    assert send(client, door, stay) == []
    assert [row["kind"] for row in rows(door, movements)] == ["admit"]
