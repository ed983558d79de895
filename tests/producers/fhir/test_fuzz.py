"""Resources with anything in any place: always an arrival or a refusal, and never what was sent in the refusal's words."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fhir_samples import bundle, document, encounter, loinc, observation, patient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.engine import Database
from db.migrate import upgrade
from producers.door import Door
from producers.fhir.file import parse_file
from stream.content import ContentStore
from stream.errors import Refused
from stream.feeds import FeedsConfig
from stream.identity import Identities

NOW = datetime(2026, 3, 2, tzinfo=UTC)

_REPORT = {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": loinc("11504-8"), "presentedForm": []}
_WHOLE = bundle(
    "batch",
    patient(),
    observation(
        component=[{"code": loinc("8480-6"), "valueString": "<5"}], contained=[patient()], effectivePeriod={"start": "2026"}
    ),
    document(relatesTo=[{"code": "replaces", "target": {"reference": "DocumentReference/d0"}}]),
    encounter(),
    {**_REPORT, "contained": [observation()], "subject": {"reference": "Patient/p1"}, "conclusion": "x" * 30},
)

_STRINGS = st.sampled_from(
    ["", "\x00", "\ud800", "#", "Patient/1", "urn:uuid:1", "2026-02-30", "9999-12-31T23:59:59-14:00", "1" * 400, "text/html"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.sampled_from([10**400, 1e308]) | st.floats() | st.text() | _STRINGS
_ANYTHING = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in _places(one, (*path, key)))]


PLACES = _places(_WHOLE)[1:]


@pytest.fixture(scope="module")
def shut_door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    """Nothing is submitted: only parsing is tried."""
    folder: Path = tmp_path_factory.mktemp("door")
    database = Database(f"sqlite:///{folder / 'dxstream.sqlite'}")
    upgrade(database)
    intake = SimpleNamespace(database=database)
    return Door(intake=intake, store=ContentStore(folder), identities=Identities(b"key"), feeds=FeedsConfig(folder))  # type: ignore[arg-type]


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), _ANYTHING), min_size=1, max_size=3))
def test_anything_in_any_place_is_an_arrival_or_a_refusal(shut_door, changes):
    whole = copy.deepcopy(_WHOLE)
    for path, value in changes:
        _put(whole, path, value)
    _parse(shut_door, json.dumps(whole).encode(), "a.json")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(place=st.integers(0, 4000), cut=st.integers(0, 40), put=st.binary(max_size=8))
def test_bytes_that_were_changed_or_lost_are_an_arrival_or_a_refusal(shut_door, place, cut, put):
    raw = json.dumps(_WHOLE).encode()
    place %= len(raw)
    for name in ("a.json", "a.ndjson"):
        _parse(shut_door, raw[:place] + put + raw[place + cut :], name)


def _put(whole: Any, path: tuple[Any, ...], value: Any) -> None:
    """Replace what is at ``path``, unless an earlier change took the way to it."""
    *way, last = path
    try:
        for key in way:
            whole = whole[key]
        whole[last] = value
    except (KeyError, IndexError, TypeError):
        return


def _parse(door: Door, raw: bytes, name: str) -> None:
    try:
        arrivals = parse_file(raw, name, door=door, received_at=NOW)
    except Refused:
        return
    for arrival in arrivals:
        arrival.sender_id.encode("ascii")
        json.dumps([getattr(ask, "facts", {}) for ask in arrival.asks], ensure_ascii=True)
