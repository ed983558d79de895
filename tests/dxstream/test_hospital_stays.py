from datetime import UTC, datetime, timedelta
from pathlib import Path

import hl7
import pytest

from dxstream.hospital.course import courses
from dxstream.hospital.stays import ODDITIES, stay_case
from stream.errors import Refused
from stream.feeds import FeedsConfig
from stream.labs import Analytes, units

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
ANALYTES = Analytes.read()
NOWHERE = Path("no such folder")


def messages(case):
    return [hl7.parse(sending.content.decode()) for sending in case.sendings]


def moment(text):
    return datetime.strptime(str(text), "%Y%m%d%H%M%S%z")


def movements(case):
    """(trigger, location, when) of each ADT."""
    adt = [message for message in messages(case) if str(message["MSH.F9.R1.C1"]) == "ADT"]
    return [(str(one["MSH.F9.R1.C2"]), str(one["PV1.F3.R1.C1"]), moment(one["EVN.F6"])) for one in adt]


def results(case):
    """(code, value, unit, status, when) of each OBX."""
    oru = [message for message in messages(case) if str(message["MSH.F9.R1.C1"]) == "ORU"]
    rows = [segment for message in oru for segment in message.segments("OBX")]
    return [(str(row[3][0][0]), float(str(row[5])), str(row[6]), str(row[11]), moment(row[14])) for row in rows]


@pytest.fixture(scope="module")
def odd():
    return {oddity.name: stay_case(3, 5 + 10 * place, NOW) for place, oddity in enumerate(ODDITIES)}


@pytest.fixture(scope="module")
def ordinary():
    return [stay_case(3, index, NOW) for index in (0, 1, 2, 3, 4, 6, 7, 8, 9)]


def test_every_analyte_of_the_table_is_measured():
    assert {course.analyte.analyte for course in courses()} == set(ANALYTES.by_name)


def test_an_ordinary_stay_begins_in_intensive_care_3_to_10_days_ago(ordinary):
    intensive = FeedsConfig(folder=NOWHERE).intensive_locations
    for case in ordinary:
        origin = min(at for _, location, at in movements(case) if location in intensive)
        assert timedelta(days=3) <= NOW - origin <= timedelta(days=10)
        assert all(origin <= at <= origin + timedelta(hours=48) for *_, at in results(case))


def test_the_messages_of_a_stay_are_in_order_and_name_one_patient_and_one_visit(ordinary):
    for case in ordinary:
        read = messages(case)
        sent = [moment(message["MSH.F7"]) for message in read]
        assert sent == sorted(sent)
        assert (
            len({str(message["PID.F3.R1.C1"]) for message in read}) == len({str(message["PV1.F19.R1.C1"]) for message in read}) == 1
        )
        assert 8 <= sum(str(message["MSH.F9.R1.C1"]) == "ORU" for message in read) <= 12


def test_every_value_of_an_ordinary_stay_is_taken_and_plausible(ordinary):
    for case in ordinary:
        for code, value, unit, status, _ in results(case):
            analyte = ANALYTES.by_code[code]
            assert status == "F"
            assert analyte.plausible[0] <= ANALYTES.convert(code, value, unit) <= analyte.plausible[1]


def test_height_and_weight_come_with_the_first_message(ordinary):
    weights = [code for case in ordinary for code, *_ in results(case) if code == "29463-7"]
    assert len(weights) == len(ordinary)
    for case in ordinary:
        first = next(message for message in messages(case) if str(message["MSH.F9.R1.C1"]) == "ORU")
        assert any(str(row[3][0][0]) == "29463-7" for row in first.segments("OBX"))


def test_the_order_numbers_are_unique(ordinary):
    orders = [str(m["OBR.F3.R1.C1"]) for case in ordinary for m in messages(case) if str(m["MSH.F9.R1.C1"]) == "ORU"]
    assert len(set(orders)) == len(orders)


def test_the_child_is_nine(odd):
    first = messages(odd["child"])[0]
    born, admitted = str(first["PID.F7"]), moment(first["PV1.F44"])
    assert admitted.year - int(born[:4]) - (f"{admitted:%m%d}" < born[4:]) == 9


def test_nobody_is_intensive_on_a_normal_ward(odd):
    intensive = FeedsConfig(folder=NOWHERE).intensive_locations
    assert not any(location in intensive for _, location, _ in movements(odd["ward"]))


def test_hardly_anything_was_measured_of_the_one_to_be_rejected(odd):
    assert len(results(odd["few"])) <= 2


def test_the_unknown_unit_is_refused_and_all_else_is_taken(odd):
    refused = set()
    for code, value, unit, *_ in results(odd["unknown unit"]):
        try:
            ANALYTES.convert(code, value, unit)
        except Refused as error:
            refused.add((code, error.reason))
    assert refused == {("2823-3", "unknown unit")}


def test_other_units_mean_the_same_values(odd):
    found = {code: (value, unit) for code, value, unit, *_ in results(odd["other units"])}
    assert {found[code][1] for code in ("14682-9", "14749-6", "8310-5")} == {"umol/L", "mmol/L", "[degF]"}
    for code in ("14682-9", "14749-6", "8310-5"):
        low, high = ANALYTES.by_code[code].plausible
        assert low <= ANALYTES.convert(code, *found[code]) <= high


def test_a_correction_names_the_same_result_with_another_value_and_comes_later(odd):
    before, after = messages(odd["corrected"])[-2:]
    right = after.segment("OBX")
    wrong = next(row for row in before.segments("OBX") if str(row[3]) == str(right[3]) and str(row[14]) == str(right[14]))
    assert str(right[11]) == "C"
    assert str(before["OBR.F3"]) == str(after["OBR.F3"])
    assert str(right[5]) != str(wrong[5])
    assert moment(before["OBR.F22"]) < moment(after["OBR.F22"])


def test_the_one_who_left_early_was_moved_to_a_ward_after_20_hours(odd):
    (*_, (_, _, origin), (trigger, location, left)) = movements(odd["left early"])
    assert (trigger, left - origin) == ("A02", timedelta(hours=20))
    assert location not in FeedsConfig(folder=NOWHERE).intensive_locations


def test_units_are_written_as_the_table_of_units_knows_them(ordinary):
    assert {unit.lower() for case in ordinary for _, _, unit, _, _ in results(case)} <= set(units())
