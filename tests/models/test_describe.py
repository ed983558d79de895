"""What is read off each analyte's curve."""

import numpy as np
import pytest

from models.describe import DESCRIBED, describe, summary, without
from models.window import Hourly


def told(*curves):
    """(analytes, DESCRIBED) of one window; None: not measured."""
    mask = np.array([[[one is not None for one in curve] for curve in curves]])
    values = np.array([[[one or 0 for one in curve] for curve in curves]], np.float32)
    return describe(Hourly(values=values, mask=mask))[0]


def test_a_curve_is_told_by_thirteen_numbers():
    (found,) = told([2, None, 4, None, None, 9, None, None])
    times, values = np.array([0, 2, 5]), np.array([2, 4, 9])
    slope = np.polyfit(times, values, 1)[0] * 24
    assert found == pytest.approx([2, 9, 2, 9, 5, values.std(), slope, 2, 4, 9, np.nan, np.log(4), 2 / 8], rel=1e-6, nan_ok=True)


def test_a_single_value_has_no_slope():
    (found,) = told([None, 3, None, None])
    assert found[5:7].tolist() == [0, 0]


def test_of_an_analyte_without_a_value_only_that_is_known():
    found = told([None] * 4, [1, 2, 3, 4])
    assert np.isnan(found[0, :-2]).all()
    assert found[0, -2:].tolist() == [0, 1]
    assert np.array_equal(without(told([1, 2, 3, 4]), np.array([True]))[0], found[0], equal_nan=True)


def test_windows_without_any_value_are_described_too():
    empty = Hourly(values=np.zeros((2, 3, 4), np.float32), mask=np.zeros((2, 3, 4), bool))
    assert describe(empty).shape == (2, 3, DESCRIBED)
    assert not summary(describe(empty)).any()


def test_a_window_of_fewer_hours_than_quarters_has_its_hours_for_quarters():
    (found,) = told([5, 7])
    assert found[7:11].tolist() == [5, 5, 7, 7]
