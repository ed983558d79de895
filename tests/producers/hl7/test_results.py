"""ORU^R01: whose, when, how much, how sure."""

import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hl7_sender import (
    CANARY_BIRTH,
    CANARY_NAME,
    CANARY_NUMBER,
    NOW,
    adt,
    asked,
    header,
    mdm,
    message,
    order,
    oru,
    patient,
    plain_door,
    result,
    take,
)
from stay_samples import rows
from stay_samples import take as commit

from db.engine import Database
from db.tables import points
from producers.door import Door
from stream.arrival import AddResults, RefusedPoint, Result
from stream.errors import Refused, Unsupported
from stream.points import FLAG_ABOVE, FLAG_BELOW, FLAG_PRELIMINARY, FLAG_REPEATED_HOUR
from stream.queues import Lane


@pytest.fixture
def desk(tmp_path: Path) -> Door:
    return plain_door(tmp_path)


def results(door: Door, *segments: str) -> tuple[Result, ...]:
    ask = asked(door, oru(*segments))
    assert isinstance(ask, AddResults)
    return ask.results


def refusals(door: Door, *segments: str) -> list[tuple[str, str]]:
    return [(point.code, point.reason) for point in asked(door, oru(*segments)).refused]


def only(door: Door, *segments: str) -> Result:
    (one,) = results(door, *segments)
    return one


# Whose


def test_one_number_of_two_authorities_is_two_patients(desk: Door) -> None:
    keys = {
        take(desk, message(header("ORU^R01"), patient(f"4711^^^{whose}^MR"), order(), result())).patient_key
        for whose in ("HOSP", "CLINIC", "&1.2.3&ISO", "")
    }
    assert len(keys) == 4


def test_the_identifier_of_type_mr_counts_wherever_it_stands(desk: Door) -> None:
    one = take(desk, message(header("ORU^R01"), patient("99^^^PAY^PI~4711^^^HOSP^MR"), order(), result()))
    other = take(desk, message(header("ORU^R01"), patient("4711^^^HOSP^MR"), order(), result()))
    assert one.patient_key == other.patient_key


def test_the_feed_supplies_the_authority_that_a_sender_leaves_out(tmp_path: Path) -> None:
    door = plain_door(tmp_path, feeds_toml='[hl7]\nauthority = "HOSP"\n')
    bare = take(door, message(header("ORU^R01"), patient("4711"), order(), result()))
    full = take(door, message(header("ORU^R01"), patient("4711^^^HOSP^MR"), order(), result()))
    assert bare.patient_key == full.patient_key


@pytest.mark.parametrize("number", ["", '""', "^^^HOSP^MR"])
def test_a_message_without_a_patient_is_refused_where_pid_3_stands(desk: Door, number: str) -> None:
    with pytest.raises(Refused, match="no patient identifier") as refusal:
        take(desk, message(header("ORU^R01"), patient(number), order(), result()))
    assert refusal.value.where == "PID^1^3"


def test_a_message_of_two_patients_is_refused(desk: Door) -> None:
    frame = message(header("ORU^R01"), patient("1"), order(), result(), patient("2"), order(), result())
    with pytest.raises(Refused, match="more than one patient"):
        take(desk, frame)


def test_the_same_message_is_the_same_input_whatever_its_line_ends(desk: Door) -> None:
    frame = oru(result())
    lines = b"\xef\xbb\xbf" + frame.replace(b"\r", b"\r\n")
    assert take(desk, frame).identity == take(desk, lines).identity
    assert take(desk, frame).identity != take(desk, oru(result("141"))).identity
    assert take(desk, frame).content.data == frame


def test_nothing_that_goes_on_names_the_patient(desk: Door) -> None:
    for frame in (oru(result()), adt("A01"), mdm("T02")):
        arrival = take(desk, frame)
        shown = repr([arrival.identity, arrival.patient_key, arrival.sender_id, arrival.not_used, arrival.asks])
        assert CANARY_NUMBER not in shown


def test_no_refusal_quotes_what_was_sent(desk: Door) -> None:
    sent = [
        message(header("ORU^R01"), patient(""), order(), result()),
        message(header("ORU^R01"), patient(CANARY_NUMBER), patient(CANARY_NUMBER + "2")),
        oru(result()).replace(b"JANE", b"J\xe4NE"),
        message(header(CANARY_NUMBER), patient()),
        message(header("ORU^R01", version=CANARY_NUMBER), patient()),
        adt("A02", at=CANARY_BIRTH),
        adt("A02", at=CANARY_NAME),
        mdm("T02", "") + f"OBX|1|ED|||^TEXT^PLAIN^Base64^{CANARY_NAME}%||||||F\r".encode(),
    ]
    for frame in sent:
        with pytest.raises(Refused) as refusal:
            take(desk, frame)
        told = "".join(traceback.format_exception(refusal.value)[-1:]) + repr(refusal.value.__cause__)[:200]
        assert not any(mark in told for mark in (CANARY_NAME, CANARY_NUMBER, CANARY_BIRTH))


# How much


def test_umol_becomes_mg_per_dl(desk: Door) -> None:
    one = only(desk, result("88.42", "umol/L", "14682-9^Creatinine^LN"))
    assert one.code == "2160-0"
    assert one.value == pytest.approx(1.0)


def test_urea_is_urea_nitrogen_in_moles_alone(desk: Door) -> None:
    assert refusals(desk, result("30", "mg/dL", "22664-7^Urea^LN")) == [("22664-7", "unit does not fit BUN")]
    assert only(desk, result("5", "mmol/L", "22664-7^Urea^LN")).value == pytest.approx(14.0, rel=1e-3)


def test_an_unknown_unit_is_refused_and_named_while_the_rest_is_used(desk: Door) -> None:
    ask = asked(desk, oru(result(), result("1", "furlong", "2160-0^Creatinine^LN")))
    assert [one.code for one in ask.results] == ["2951-2"]
    at = datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert ask.refused == (RefusedPoint(code="2160-0", reason="unknown unit", observed_at=at, where="OBX^2^6"),)


def test_the_refused_point_is_placed_for_the_answer(desk: Door) -> None:
    taken = take(desk, oru(result(), result(unit="furlong"), result("1:128")))
    assert [(point.where, point.reason) for point in taken.refused] == [
        ("OBX^2^6", "unknown unit"),
        ("OBX^3^5", "a ratio or a titre"),
    ]


def test_no_unit_is_refused_unless_the_feed_supplies_one(tmp_path: Path) -> None:
    assert refusals(plain_door(tmp_path), result(unit="")) == [("2951-2", "no unit")]
    supplied = plain_door(tmp_path, feeds_toml='[hl7.default_units]\n"2951-2" = "mmol/L"\n')
    assert only(supplied, result(unit="")).value == 140


def test_a_unit_with_an_unescaped_power_is_read(desk: Door) -> None:
    for unit in ("10^3/uL", r"10\S\3/uL", "10*3/uL", "K/uL"):
        assert only(desk, result("7.5", unit, "6690-2^WBC^LN")).value == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("value", "kind", "number", "flag"),
    [
        ("140", "NM", 140, 0),
        ("<120", "NM", 120, FLAG_BELOW),
        ("<^120", "SN", 120, FLAG_BELOW),
        (">=^150", "SN", 150, FLAG_ABOVE),
        ("^140", "SN", 140, 0),
        ("> 150.5", "ST", 150.5, FLAG_ABOVE),
        ("1.4E2", "TX", 140, 0),
        ("+140", "", 140, 0),
    ],
)
def test_a_comparator_is_kept_as_a_flag_and_the_value_is_the_bound(
    desk: Door, value: str, kind: str, number: float, flag: int
) -> None:
    one = only(desk, result(value, kind=kind))
    assert (one.value, one.flags) == (number, flag)


@pytest.mark.parametrize(
    ("value", "kind", "reason"),
    [
        ("^1^:^128", "SN", "a ratio or a titre"),
        ("^2^+", "SN", "a ratio or a titre"),
        ("1:128", "ST", "a ratio or a titre"),
        ("<>^5", "SN", "comparator not taken"),
        ("haemolysed", "NM", "not a number"),
        ("nan", "NM", "not a number"),
        ("1,5", "NM", "not a number"),
        ("see comment", "ST", "not a number"),
        ("", "NM", "no value"),
        ("140~141", "NM", "more than one value"),
        ("99999", "NM", "outside the physical range"),
    ],
)
def test_what_is_no_single_number_is_refused(desk: Door, value: str, kind: str, reason: str) -> None:
    assert refusals(desk, result(value, kind=kind)) == [("2951-2", reason)]


@pytest.mark.parametrize("code", ["2951-2^Sodium^LN", "NA^Sodium^L^2951-2^Sodium^LN", "2951-2^Sodium", "x^y^L^2951-2"])
def test_a_loinc_code_is_found_in_either_place(desk: Door, code: str) -> None:
    assert only(desk, result(code=code)).code == "2951-2"


def test_a_local_code_is_mapped_by_the_operators_table(tmp_path: Path) -> None:
    door = plain_door(tmp_path, codes_csv="sent,loinc\nNATRIUM,2951-2\n")
    assert only(door, result(code="natrium^Natrium^L")).code == "2951-2"


def test_a_number_that_no_analyte_has_is_refused_and_named(desk: Door) -> None:
    assert refusals(desk, result(code="LOCAL^Something^L")) == [("LOCAL", "no analyte has this code")]


# When


def test_observed_is_obx_14_before_obr_7(desk: Door) -> None:
    assert only(desk, result()).observed_at == datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
    assert only(desk, result(f14="202611201030")).observed_at == datetime(2026, 11, 20, 10, 30, tzinfo=UTC)


def test_available_is_obx_19_before_obr_22_before_receipt(desk: Door) -> None:
    assert only(desk, result()).available_at == NOW
    assert only(desk, order(f22="20261120113000"), result()).available_at == datetime(2026, 11, 20, 11, 30, tzinfo=UTC)
    both = only(desk, order(f22="20261120113000"), result(f19="20261120114000"))
    assert both.available_at == both.version_at == datetime(2026, 11, 20, 11, 40, tzinfo=UTC)


def test_without_a_report_time_the_message_orders_the_versions(desk: Door) -> None:
    assert only(desk, result()).version_at == datetime(2026, 11, 20, 11, 55, tzinfo=UTC)


def sent_at(clock: str, control_id: str, *segments: str) -> bytes:
    """An ORU with MSH-7."""
    return message(header("ORU^R01", control_id, f7=f"20261120{clock}"), patient(), *segments)


def test_the_later_of_obx_19_and_obr_22_orders_the_versions(sqlite: Database, desk: Door) -> None:
    corrected = oru(order(f22="20261120115800"), result("141", status="C", f19="20261120113000"), control_id="2")
    late = oru(order(f22="20261120115700"), result("140", f19="20261120113000"))
    assert standing(sqlite, desk, corrected, late) == [141]
    assert only(desk, order(f22="20261120115800"), result(f19="20261120113000")).version_at.minute == 58


def test_a_final_result_with_its_time_replaces_a_preliminary_one_without(sqlite: Database, desk: Door) -> None:
    preliminary = sent_at("115500", "1", order(), result("150", status="P"))
    final = sent_at("115800", "2", order(), result("140", f19="20261120113000"))
    assert standing(sqlite, desk, preliminary, final) == [140]
    assert standing(sqlite, desk, sent_at("115600", "3", order(), result("160", status="P"))) == [140]


def test_of_two_versions_of_one_time_the_message_that_was_sent_later_holds(sqlite: Database, desk: Door) -> None:
    later = sent_at("115800", "2", order(), result("141", status="C", f19="20261120113000"))
    earlier = sent_at("115700", "1", order(), result("140", f19="20261120113000"))
    assert standing(sqlite, desk, later, earlier) == [141]


def test_a_date_alone_is_refused(desk: Door) -> None:
    assert refusals(desk, order(at="20261120"), result()) == [("2951-2", "a date without a time")]
    assert refusals(desk, order(at=""), result()) == [("2951-2", "no observation time")]


def test_a_point_more_than_five_minutes_in_the_future_is_refused(desk: Door) -> None:
    assert results(desk, result(f14="20261120120459"))
    assert refusals(desk, result(f14="20261120120501")) == [("2951-2", "in the future")]


def test_a_clock_that_runs_ahead_cannot_shut_out_later_corrections(desk: Door) -> None:
    assert only(desk, result(f19="20361120120000")).version_at <= NOW


def test_the_repeated_hour_in_autumn_is_flagged(tmp_path: Path) -> None:
    door = plain_door(tmp_path, feeds_toml='[hl7]\ntime_zone = "Europe/Berlin"\n')
    one = only(door, result(f14="20261025023000"))
    assert one.flags == FLAG_REPEATED_HOUR
    assert one.observed_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


# Versions


def test_a_correction_has_the_identity_of_what_it_corrects(desk: Door) -> None:
    assert only(desk, result("140")).base == only(desk, result("150", status="C")).base


def test_another_order_code_or_sub_id_is_another_result(desk: Door) -> None:
    bases = {
        only(desk, order("F1"), result()).base,
        only(desk, order("F2"), result()).base,
        only(desk, order("F1^OTHERLAB"), result()).base,
        only(desk, result(f4="2")).base,
        only(desk, result(code="2947-0^Sodium^LN")).base,
    }
    assert len(bases) == 5


def test_without_an_order_number_the_patient_and_the_time_identify(desk: Door) -> None:
    bases = [only(desk, order("", f2="", f7=at), result()).base for at in ("202611201000", "202611201000", "202611201030")]
    assert bases[0] == bases[1] != bases[2]


def test_one_analyte_twice_in_a_message_is_two_results(sqlite: Database, desk: Door) -> None:
    earlier, later = result("139", f14="202611201000"), result("141", f14="202611201030")
    assert standing(sqlite, desk, oru(earlier, later), oru(result("142", f14="202611201030", status="C"))) == [139, 142]


@pytest.mark.parametrize("status", ["D", "W"])
def test_a_deleted_or_wrong_result_removes_the_point(desk: Door, status: str) -> None:
    removed = only(desk, result("", "", status=status))
    assert removed.value is None
    assert removed.base == only(desk, result()).base


def test_a_preliminary_result_is_kept_and_flagged(desk: Door) -> None:
    assert only(desk, result(status="P")).flags == FLAG_PRELIMINARY


@pytest.mark.parametrize("status", ["X", "I", "N"])
def test_a_status_without_a_value_is_not_a_refused_point(desk: Door, status: str) -> None:
    ask = asked(desk, oru(result(status=status)))
    assert [(one.value, one.only_known) for one in ask.results] == [(None, True)]
    assert ask.refused == ()
    assert take(desk, oru(result(status=status, code="LOCAL^Something^L"))).asks == ()


def standing(database: Database, door: Door, *frames: bytes) -> list[float]:
    """The values that hold once these messages are committed, one after the other."""
    for frame in frames:
        commit(database, take(door, frame))
    return [row["value"] for row in rows(database, points) if row["value"] is not None]


@pytest.mark.parametrize(
    "correction",
    [
        result("haemolysed", kind="ST", status="C"),
        result("141", "furlong", status="C"),
        result('""', status="C"),
        result("141", status="C", f14="20261120"),
        result("", "", status="X"),
        result("", "", status="I"),
    ],
)
def test_a_correction_that_cannot_be_read_takes_the_old_value_away(sqlite: Database, desk: Door, correction: str) -> None:
    assert standing(sqlite, desk, oru(result("140")), oru(correction, control_id="2")) == []


@pytest.mark.parametrize("status", ["D", "W", "X", "C"])
def test_a_removal_needs_no_observation_time(sqlite: Database, desk: Door, status: str) -> None:
    removal = oru(order(at=""), result("", "", status=status), control_id="2")
    assert standing(sqlite, desk, oru(result("140")), removal) == []


def at(clock: str, value: str, **fields: Any) -> str:
    return result(value, f14=f"20261120{clock}00", **fields)


REMOVAL = result("", "", status="D")


@pytest.mark.parametrize("segments", [(REMOVAL, at("11", "145")), (at("11", "145"), REMOVAL)])
def test_a_removal_without_a_time_takes_back_what_stood_before_its_message(
    sqlite: Database, desk: Door, segments: tuple[str, ...]
) -> None:
    replaced = oru(order(f7=""), *segments, control_id="2")
    assert standing(sqlite, desk, oru(order(f7=""), at("08", "199")), replaced) == [145]


@pytest.mark.parametrize("segments", [(REMOVAL, at("11", "145")), (at("11", "145"), REMOVAL)])
def test_a_removal_without_a_time_leaves_a_value_that_its_message_tells_again(
    sqlite: Database, desk: Door, segments: tuple[str, ...]
) -> None:
    both = oru(order(f7=""), at("08", "199"), at("11", "145"))
    assert standing(sqlite, desk, both, oru(order(f7=""), *segments, control_id="2")) == [145]


@pytest.mark.parametrize("status", ["D", "W", "X", "C"])
def test_a_removal_without_a_time_takes_back_the_only_one_of_several_that_is_left(
    sqlite: Database, desk: Door, status: str
) -> None:
    both = oru(order(f7=""), at("08", "199"), at("11", "145"))
    one = oru(order(f7=""), at("11", "", status="D"), control_id="2")
    assert standing(sqlite, desk, both, one) == [199]
    assert standing(sqlite, desk, oru(order(f7=""), result("", "", status=status), control_id="3")) == []


def test_a_removal_without_a_time_takes_nothing_where_several_stand(sqlite: Database, desk: Door) -> None:
    both = oru(order(f7=""), at("08", "199"), at("11", "145"))
    assert standing(sqlite, desk, both, oru(order(f7=""), REMOVAL, control_id="2")) == [199, 145]
    assert len(rows(sqlite, points)) == 2


def test_a_remark_without_a_time_beside_a_value_takes_nothing_from_an_earlier_one(sqlite: Database, desk: Door) -> None:
    remark = result("slightly haemolysed", "", kind="ST", status="C")
    both = oru(order(f7=""), at("08", "199"), at("10", "150"))
    one = oru(order(f7=""), at("10", "", status="D"), control_id="2")
    assert standing(sqlite, desk, both, one, oru(order(f7=""), at("11", "145"), remark, control_id="3")) == [199, 145]


def test_a_correction_that_can_be_read_again_brings_the_value_back(sqlite: Database, desk: Door) -> None:
    corrections = (oru(result(value, status="C"), control_id=value) for value in ("haemolysed", "141"))
    assert standing(sqlite, desk, oru(result("140")), *corrections) == [141]


def test_a_remark_beside_a_value_takes_nothing_away(sqlite: Database, desk: Door) -> None:
    remark = result("slightly haemolysed", "", kind="ST", status="C")
    assert standing(sqlite, desk, oru(result("140", status="C"), remark)) == [140]
    assert only(desk, result("140", status="C"), remark).value == 140


def test_a_status_that_is_not_taken_is_named(desk: Door) -> None:
    assert refusals(desk, result(status="R")) == [("2951-2", "status not taken")]


def test_results_of_several_orders_are_all_taken(desk: Door) -> None:
    found = results(
        desk, order("F1"), result(), order("F2", at="202611201000"), result(), "NTE|1||x", result("4", code="2823-3^K^LN")
    )
    assert [one.observed_at.hour for one in found] == [11, 10, 10]


def test_the_placers_number_tells_results_apart_where_the_filler_gives_none(desk: Door) -> None:
    one, other, again = (results(desk, order("", f2=number), result())[0] for number in ("P1", "P2", "P1"))
    assert one.base == again.base != other.base


# What is asked of the port


@pytest.mark.parametrize("where", ["f5", "f27"])
def test_stat_is_read_from_obr(desk: Door, where: str) -> None:
    priority: dict[str, Any] = {where: {"f5": "S", "f27": "^^^^^S"}[where]}
    assert take(desk, oru(order(**priority), result())).lane is Lane.STAT
    assert take(desk, oru(result())).lane is Lane.ROUTINE


def test_stat_is_read_from_tq1_and_from_the_list_of_senders(tmp_path: Path) -> None:
    door = plain_door(tmp_path, feeds_toml='[hl7]\nstat_senders = ["POC"]\n')
    assert take(door, oru(order(), "TQ1|1||||||||S", result())).lane is Lane.STAT
    frame = message(header("ORU^R01", sender="POC|HOSP"), patient(), order(), result())
    assert take(door, frame).lane is Lane.STAT


@pytest.mark.parametrize(
    ("location", "lane"),
    [("SHOCK^1^A^HOSP", Lane.STAT), ("ward^1^A^ed", Lane.STAT), ("WARD^1^A^HOSP", Lane.ROUTINE), ("", Lane.ROUTINE)],
)
def test_stat_is_read_from_the_list_of_locations(tmp_path: Path, location: str, lane: Lane) -> None:
    door = plain_door(tmp_path, feeds_toml='[hl7]\nstat_locations = ["Shock", "ED"]\n')
    assert take(door, oru(f"PV1|1|I|{location}", order(), result())).lane is lane


@pytest.mark.parametrize(
    ("msh", "where"),
    [
        (header("SIU^S12"), "MSH^1^9^1^1"),
        (header(""), "MSH^1^9^1^1"),
        (header("ORU^R02"), "MSH^1^9^1^2"),
        (header("ORU^R01", f11="T"), "MSH^1^11"),
        (header("ORU^R01", f11="D"), "MSH^1^11"),
        (header("ORU^R01", version="3.0"), "MSH^1^12"),
    ],
)
def test_what_is_not_supported_is_said_where_it_stands(desk: Door, msh: str, where: str) -> None:
    with pytest.raises(Unsupported) as refusal:
        take(desk, message(msh, patient(), order(), result()))
    assert refusal.value.where == where


@pytest.mark.parametrize(
    "msh", [header("ORU"), header("ORU^R01", f11=""), header("ORU^R01", version=""), header("ORU^R01", version="2.1")]
)
def test_what_old_senders_leave_out_is_tolerated(desk: Door, msh: str) -> None:
    assert take(desk, message(msh, patient(), order(), result())).asks


def test_four_hundred_results_are_read_in_bounded_time(desk: Door) -> None:
    frame = oru(*[result(f4=str(number)) for number in range(400)])
    began = datetime.now(UTC)
    assert len(asked(desk, frame).results) == 400
    assert datetime.now(UTC) - began < timedelta(seconds=1)
