"""The inbox: what the files of a protocol mean is said once, in that protocol's table of feeds.toml."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fhir_samples import observation, patient
from hl7_sender import adt, oru, plain_door, result, take

from dxstream.inbox import parsers
from producers.door import Door
from stream.arrival import Arrival

HL7 = """
[hl7]
time_zone = "Europe/Zurich"
authority = "HOSP"
character_set = "iso-8859-1"
default_units = { "2951-2" = "mmol/L" }
defaults = { sex = "female" }
"""
FHIR = """
[fhir]
time_zone = "Europe/Zurich"
authority = "HOSP"
[folder]
source = "http://ehr.example/fhir"
"""


@pytest.fixture
def desk(tmp_path: Path) -> Door:
    return plain_door(tmp_path, feeds_toml=HL7)


def read(door: Door, name: str, content: bytes) -> list[Arrival]:
    return parsers(door)[Path(name).suffix](content, name)


def test_an_hl7_file_means_what_the_same_message_means_over_mllp(desk: Door) -> None:
    for sent in (
        oru(result(unit="", f14="20250301110000", f19="20250301120000")),
        oru(result(f14="20250301110000", f19="20250301120000")).replace(b"^^^HOSP^MR", b""),
        adt("A01", at="20250301110000").replace(b"JANE", b"J\xfcrg").replace(b"|F", b"|"),
    ):
        (filed,) = read(desk, "a.hl7", sent)
        live = take(desk, sent, now=datetime.now(UTC))
        assert (filed.feed, live.feed) == ("folder", "hl7")
        assert (filed.identity, filed.patient_key, filed.asks) == (live.identity, live.patient_key, live.asks)


def test_times_and_units_of_an_hl7_file_are_those_of_the_table_hl7(desk: Door) -> None:
    (arrival,) = read(desk, "a.hl7", oru(result(unit="", f14="20250301110000")))
    (ask,) = arrival.asks
    (point,) = ask.results
    assert (point.value, point.observed_at) == (140, datetime(2025, 3, 1, 10, tzinfo=UTC))


def test_a_bare_number_in_an_hl7_file_is_the_patient_of_the_same_number_over_mllp(tmp_path: Path) -> None:
    door = plain_door(tmp_path)
    bare = oru(result()).replace(b"^^^HOSP^MR", b"")
    (filed,) = read(door, "a.hl7", bare)
    assert filed.patient_key == take(door, bare).patient_key


def test_a_fhir_file_means_what_the_table_fhir_says_and_its_source_is_the_folders(tmp_path: Path) -> None:
    door = plain_door(tmp_path, feeds_toml=FHIR)
    subject = {"identifier": {"value": "0815"}}
    one = observation(subject=subject, effectiveDateTime="2026-03-01T08:00:00")
    (filed,) = read(door, "a.json", json.dumps(one).encode())
    (ask,) = filed.asks
    assert filed.feed == "folder"
    assert ask.results[0].observed_at == datetime(2026, 3, 1, 7, tzinfo=UTC)
    (known,) = read(door, "p.json", json.dumps(patient(identifier=[{"value": "0815"}])).encode())
    assert filed.patient_key == known.patient_key == door.identities.patient_key(authority="HOSP", number="0815", feed="fhir")
