"""ADT: the movements of a stay."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from fhir_samples import encounter
from hl7_sender import NOW, adt, asked, header, message, patient, plain_door, take

from producers.door import Door
from producers.fhir.origins import around_of_feed
from producers.fhir.resource import parse_resource
from stream.arrival import Merge, Move, TellCourse
from stream.errors import Refused


@pytest.fixture
def desk(tmp_path: Path) -> Door:
    return plain_door(tmp_path)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("A01", "admit"),
        ("A02", "transfer"),
        ("A03", "discharge"),
        ("A06", "transfer"),
        ("A07", "discharge"),
        ("A11", "cancel_admit"),
        ("A12", "cancel_transfer"),
        ("A13", "cancel_discharge"),
    ],
)
def test_each_event_is_a_movement_of_its_stay(desk: Door, event: str, kind: str) -> None:
    move = asked(desk, adt(event))
    assert isinstance(move, Move)
    assert move.kind == kind
    assert move.at == datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    assert move.facts == {"age_years": 65.0, "sex": "female"}
    assert move.stay == asked(desk, adt("A01")).stay


@pytest.mark.parametrize(
    ("place", "intensive"), [("ICU^1^1", True), ("micu", True), ("WARD^1", False), ("^^^ICU", True), ("", None)]
)
def test_intensive_care_is_a_location_on_the_list(desk: Door, place: str, intensive: bool | None) -> None:
    assert asked(desk, adt("A02", place=place)).intensive is intensive


def test_the_operator_adds_locations(tmp_path: Path) -> None:
    door = plain_door(tmp_path, locations_csv="location,kind\nWest 4,icu\n")
    assert asked(door, adt("A01", place="WEST 4^12")).intensive


def test_an_admission_takes_its_own_time_before_the_events(desk: Door) -> None:
    assert asked(desk, adt("A01", f44="20261120083000")).at.hour == 8
    assert asked(desk, adt("A01", f44="20261120")).at.hour == 10
    assert asked(desk, adt("A02", f44="20261120083000")).at.hour == 10


@pytest.mark.parametrize(("at", "flagged"), [("20261025023000", True), ("20261025033000", False), ("20261025023000+0100", False)])
def test_a_movement_in_the_hour_that_stands_twice_is_flagged(tmp_path: Path, at: str, flagged: bool) -> None:
    door = plain_door(tmp_path, feeds_toml='[hl7]\ntime_zone = "Europe/Berlin"\n')
    assert asked(door, adt("A02", at=at)).repeated_hour is flagged
    assert asked(door, adt("A08", f44=at)).repeated_hour is flagged


def test_a_movement_without_a_time_is_refused(desk: Door) -> None:
    for at, reason in (("", "no time of the movement"), ("20261120", "a date without a time"), ("20361120100000", "in the future")):
        with pytest.raises(Refused, match=reason):
            take(desk, adt("A02", at=at))


def test_another_visit_is_another_stay(desk: Door) -> None:
    stays = {asked(desk, adt("A01", visit=visit, f44="20261120083000")).stay for visit in ("V1", "V2", "V1^^^OTHER", "")}
    assert len(stays) == 4


def test_without_a_visit_number_the_account_number_tells_stays_apart(desk: Door) -> None:
    born = b"||19610203|F"
    accounts = [adt("A02", visit="").replace(born, born + b"|" * 10 + number) for number in (b"N1", b"N2", b"N1^^^HOSP")]
    one, other, same = (asked(desk, frame).stay for frame in accounts)
    assert one == same != other
    assert asked(desk, accounts[0].replace(b"A02", b"A08")).stay == one


def test_without_either_number_the_admission_tells_stays_apart(desk: Door) -> None:
    one, other = (asked(desk, adt("A02", visit="", f44=at)).stay for at in ("20250101080000", "20260301080000"))
    assert one != other


@pytest.mark.parametrize("fields", [{}, {"f44": "20261120"}])
def test_a_movement_of_which_nobody_can_tell_the_visit_is_refused(desk: Door, fields: dict[str, str]) -> None:
    with pytest.raises(Refused, match="neither a visit nor an account number, nor a time of admission") as refused:
        take(desk, adt("A02", visit="", **fields))
    assert refused.value.where == "PV1^1^19"


def test_a_visit_is_one_over_hl7_and_fhir_under_one_authority(tmp_path: Path) -> None:
    door = plain_door(tmp_path, authorities_csv="sent,authority\nHOSP,main\nurn:oid:1.2.3,main\n1.2.3,main\n")
    numbers = [{"system": "urn:oid:1.2.3", "value": "V1"}]
    sent = encounter(identifier=numbers, subject={"identifier": {"system": "urn:oid:1.2.3", "value": "1"}})
    (course,) = parse_resource(sent, around_of_feed(door, "fhir", NOW)).asks
    assert isinstance(course, TellCourse)
    assert {asked(door, adt("A01", visit=visit)).stay for visit in ("V1", "V1^^^HOSP", "V1^^^&1.2.3&ISO")} == {course.stay}


@pytest.mark.parametrize(("event", "reason"), [("A04", "nothing to judge in ADT^A04"), ("A31", "nothing to judge in ADT^A31")])
def test_other_events_are_taken_and_not_used(desk: Door, event: str, reason: str) -> None:
    arrival = take(desk, adt(event))
    assert (arrival.asks, arrival.not_used) == ((), reason)


def test_an_update_gives_the_admission_anew(desk: Door) -> None:
    move = asked(desk, adt("A08", f44="20261120083000"))
    assert (move.kind, move.at.hour, move.recorded_at.hour, move.intensive) == ("correct_admit", 8, 10, None)
    assert asked(desk, adt("A08")).kind == "update"
    assert take(desk, adt("A08", visit="")).not_used == "no visit to update"


def test_a_corrected_birth_date_or_sex_is_noticed(desk: Door) -> None:
    frames = [adt("A08"), adt("A08").replace(b"19610203", b"19610204"), adt("A08").replace(b"|F\r", b"|M\r")]
    assert len({asked(desk, frame).person for frame in frames}) == 3
    assert asked(desk, adt("A01")).person == asked(desk, adt("A08")).person


def test_a_movement_is_recorded_when_evn_says_else_msh(desk: Door) -> None:
    assert asked(desk, adt("A01", f44="20261120083000")).recorded_at.hour == 10
    assert asked(desk, adt("A01", at="", f44="20261120083000")).recorded_at.hour == 11


def test_a_merge_names_the_key_that_is_given_up(desk: Door) -> None:
    frame = message(header("ADT^A40"), "EVN|A40|20261120100000", patient("1^^^HOSP^MR"), "MRG|2^^^HOSP^MR")
    arrival = take(desk, frame)
    old = take(desk, message(header("ADT^A31"), patient("2^^^HOSP^MR"))).patient_key
    assert arrival.asks == (Merge(other=old),)
    assert arrival.patient_key != old


@pytest.mark.parametrize("given_up", ["2", "2^^^HOSP", "2^^^^PI"])
def test_what_mrg_leaves_out_is_as_in_pid_3(desk: Door, given_up: str) -> None:
    frame = message(header("ADT^A40"), "EVN|A40|20261120100000", patient("1^^^HOSP^PI"), f"MRG|{given_up}")
    old = take(desk, message(header("ADT^A31"), patient("2^^^HOSP^PI"))).patient_key
    assert asked(desk, frame) == Merge(other=old)


def test_of_another_authority_mrg_takes_no_type_over(desk: Door) -> None:
    frame = message(header("ADT^A40"), "EVN|A40|20261120100000", patient("1^^^HOSP^PI"), "MRG|2^^^OTHER")
    old = take(desk, message(header("ADT^A31"), patient("2^^^OTHER"))).patient_key
    assert asked(desk, frame) == Merge(other=old)


def test_a_merge_without_mrg_is_refused(desk: Door) -> None:
    with pytest.raises(Refused, match="MRG"):
        take(desk, message(header("ADT^A40"), patient("1")))


def test_the_event_of_an_old_message_stands_in_evn(desk: Door) -> None:
    frame = message(header("ADT", version="2.2"), "EVN|A02|20261120100000", patient(), "PV1|1|I|ICU" + "|" * 16 + "V1")
    assert asked(desk, frame).kind == "transfer"
