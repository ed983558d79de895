"""Curves over several analytes: what a formula says hour by hour."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from models.curves import parse, possible, with_curves
from models.window import Hourly, Scale

NAMES = ("HR", "SysABP", "NISysABP", "PaO2", "FiO2")


def scale() -> Scale:
    """PaO2 is on the log scale, the others have a mean of 100 and a spread of 10."""
    log = np.array([name == "PaO2" for name in NAMES])
    zeros, tens = np.zeros(len(NAMES)), np.full(len(NAMES), 10.0)
    mean = np.where(log, 0.0, 100.0)
    return Scale(
        codes=np.array([], "S"), place=np.array([], int), low=zeros, high=tens, log=log, mean=mean, std=np.where(log, 1.0, tens)
    )


def window(**plain: list[float | None]) -> Hourly:
    """One window of three hours; None: not measured."""
    values, mask = np.zeros((1, len(NAMES), 3)), np.zeros((1, len(NAMES), 3), bool)
    for name, hours in plain.items():
        column = NAMES.index(name)
        for hour, value in enumerate(hours):
            if value is not None:
                mask[0, column, hour] = True
                values[0, column, hour] = np.log(value) if name == "PaO2" else (value - 100.0) / 10.0
    return Hourly(values=values.astype(np.float32), mask=mask)


def told(formula: str, **plain: list[float | None]) -> list[float | None]:
    """The curve of ``formula``, None where it has no value."""
    found = with_curves(window(**plain), scale(), parse([formula], NAMES))
    return [float(value) if there else None for value, there in zip(found.values[0, -1], found.mask[0, -1], strict=True)]


def test_the_first_measured_of_the_alternatives_counts():
    assert told("SysABP|NISysABP", SysABP=[120, None, None], NISysABP=[90, 95, None]) == [120, 95, None]


def test_a_ratio_takes_the_last_known_value_of_its_right_side():
    found = told("PaO2 / FiO2", PaO2=[80, None, 90], FiO2=[0.5, None, None])
    assert found[1] is None
    assert_allclose([found[0], found[2]], [np.log(160), np.log(180)], rtol=1e-4)


def test_a_ratio_has_no_value_before_its_right_side_is_known():
    assert told("PaO2 / FiO2", PaO2=[80, 80, 80], FiO2=[None, 0.4, None])[0] is None


def test_a_difference_is_in_the_unit_of_its_sides():
    assert told("SysABP - HR", SysABP=[120, 110, None], HR=[70, None, 80]) == [50, 40, None]


def test_only_curves_are_possible_whose_analytes_are_all_there():
    assert possible(NAMES) == ("SysABP|NISysABP", "HR / SysABP|NISysABP", "PaO2 / FiO2")


def test_a_curve_falls_away_only_with_every_alternative_of_one_side():
    (curve,) = parse(["HR / SysABP|NISysABP"], NAMES)
    fallen = [np.array([name in gone for name in NAMES]) for gone in (("HR",), ("SysABP",), ("SysABP", "NISysABP"))]
    assert [curve.gone(one) for one in fallen] == [True, False, True]


def test_a_formula_over_an_unknown_analyte_is_an_error():
    with pytest.raises(KeyError):
        parse(["Lactate / HR"], NAMES)
