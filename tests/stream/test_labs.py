"""Codes and units → the value that models take."""

from pathlib import Path

import pytest

from stream.errors import Refused
from stream.feeds import FeedsConfig
from stream.labs import Analytes, units
from stream.settings import BadSettingError

ANALYTES = Analytes.read()


@pytest.mark.parametrize(
    ("code", "value", "unit", "expected"),
    [
        ("2160-0", 1.0, "mg/dL", 1.0),
        ("14682-9", 88.42, "umol/L", 1.0),
        ("2160-0", 88.42, "µmol/L", 1.0),
        ("14749-6", 5.55, "mmol/L", 100.0),
        ("2345-7", 1.0, "g/L", 100.0),
        ("2951-2", 140.0, "meq/L", 140.0),
        ("22664-7", 5.0, "mmol/L", 14.006),
        ("3094-0", 14.0, "mg/dL", 14.0),
        ("19123-9", 1.6456, "meq/L", 2.0),
        ("2524-7", 18.02, "mg/dL", 2.0),
        ("8310-5", 98.6, "[degF]", 37.0),
        ("8310-5", 310.15, "K", 37.0),
        ("3150-6", 40.0, "%", 0.4),
        ("777-3", 200.0, "10*9/L", 200.0),
        ("777-3", 200_000.0, "/mm3", 200.0),
        ("2019-8", 5.0, "kPa", 37.503),
        ("29463-7", 154.32, "lb", 70.0),
        ("8462-4", 80.0, "mm Hg", 80.0),
    ],
)
def test_a_value_comes_out_in_the_models_unit(code: str, value: float, unit: str, expected: float):
    assert ANALYTES.convert(code, value, unit) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("code", "value", "unit", "reason"),
    [
        ("2160-0", 1.0, "", "no unit"),
        ("2160-0", 1.0, "furlong", "unknown unit"),
        ("2160-0", 1.0, "mmHg", "does not fit"),
        ("1751-7", 4.0, "meq/L", "does not fit"),
        ("22664-7", 30.0, "mg/dL", "does not fit BUN"),
        ("8867-4", 0.0, "/min", "physical range"),
        ("8310-5", -17.8, "Cel", "physical range"),
        ("2160-0", float("nan"), "mg/dL", "finite"),
        ("0-0", 1.0, "mg/dL", "no analyte"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_its_reason(code: str, value: float, unit: str, reason: str):
    with pytest.raises(Refused, match=reason):
        ANALYTES.convert(code, value, unit)


def test_every_analytes_own_unit_is_known_and_gives_the_value_itself():
    for analyte in ANALYTES.rows:
        middle = sum(analyte.plausible) / 2
        assert ANALYTES.convert(analyte.codes[0], middle, analyte.unit) == pytest.approx(middle)


def test_no_way_to_write_a_unit_means_two_things():
    assert units()["mm"].dimension == "length"
    assert units()["mmhg"].dimension == "pressure"


def test_no_loinc_code_belongs_to_two_analytes():
    codes = [code for analyte in ANALYTES.rows for code in analyte.codes]
    assert len(codes) == len(set(codes))


def test_an_operators_row_replaces_the_shipped_one(tmp_path: Path):
    header = (Path(__file__).parents[2] / "stream" / "labs.csv").read_text().splitlines()[0]
    more = tmp_path / "labs.csv"
    more.write_text(f"{header}\nHR,Heart rate,1-1,,,/min,,,,20,250,1,350\nCRP,C-reactive protein,1988-5,,,mg/L,,,,0,500,0,1000\n")
    table = Analytes.read(more)
    assert table.by_name["HR"].codes == ("1-1",)
    assert table.convert("1988-5", 0.5, "mg/dL") == pytest.approx(5.0)


HEAD = (
    "analyte,name,loinc_mass,loinc_substance,specimen,unit,molar_unit,molar_factor,valence,"
    "plausible_low,plausible_high,physical_low,physical_high\n"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("analyte,name\nHR,Heart rate\n", "no column loinc_mass"),
        (f"{HEAD}HR,Heart rate,1-1,,,/min,,,,low,250,1,350\n", "no number"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_and_is_the_operators_fault(tmp_path: Path, text: str, reason: str):
    (tmp_path / "labs.csv").write_text(text)
    with pytest.raises(Refused, match=reason):
        Analytes.read(tmp_path / "labs.csv")
    with pytest.raises(BadSettingError, match=reason):
        _ = FeedsConfig(tmp_path).analytes
