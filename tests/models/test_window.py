"""Points become hourly steps."""

import numpy as np
import pytest
from model_samples import points

from models.card import AnalyteInput
from models.describe import describe, summary
from models.window import Scale, hourly, place, series
from stream.points import decode_points


def analyte(name, code, *, log=False, mean=0.0, std=1.0):
    return AnalyteInput(name=name, codes=(code,), unit="", required=False, plausible=(0.5, 1000.0), log=log, mean=mean, std=std)


SCALE = Scale.of([analyte("a", "1-1"), analyte("b", "2-2", log=True), analyte("c", "3-3", mean=10, std=2)])


def placed(*rows, hours=4):
    return place(decode_points(points(rows)), SCALE, hours)


def window(*rows, hours=4):
    """A batch of one."""
    told = placed(*rows, hours=hours)
    return hourly([told.cell], [told.value], SCALE, hours)


def test_several_values_of_one_hour_become_their_mean():
    told = window(("1-1", 0, 2), ("1-1", 59.9, 4), ("1-1", 60, 9))
    assert told.values[0, 0].tolist() == [3, 9, 0, 0]
    assert told.mask[0, 0].tolist() == [True, True, False, False]


def test_values_are_put_on_the_scale_of_the_card():
    told = window(("2-2", 0, np.e), ("3-3", 0, 14))
    assert told.values[0, :, 0].tolist() == pytest.approx([0, 1, 2], abs=1e-6)


def test_points_outside_the_window_and_of_unknown_code_are_counted_and_left_out():
    told = placed(("1-1", -1, 5), ("1-1", 240, 5), ("9-9", 10, 5))
    assert (told.outside, told.unknown) == (2, 1)
    assert not len(told.cell)


def test_an_implausible_value_is_clipped_and_counted():
    assert window(("1-1", 0, 5000)).values[0, 0, 0] == 1000
    assert placed(("1-1", 0, 5000)).implausible == 1


def test_the_last_value_is_held_with_the_hours_since_then():
    (steps,) = series(window(("1-1", 60, 7)))
    assert steps[:, 0].tolist() == [0, 7, 7, 7]
    assert steps[:, 3].tolist() == [0, 1, 0, 0]
    assert steps[:, 6].tolist() == [1, 0, 0.25, 0.5]


def test_the_summary_holds_mean_last_least_greatest_and_count():
    (told,) = summary(describe(window(("1-1", 0, 2), ("1-1", 60, 8), ("1-1", 180, 5))))
    assert told[0::3].tolist() == pytest.approx([5, 5, 2, 8, np.log(4)])
    assert told[1::3].tolist() == [0, 0, 0, 0, 0]


def test_a_window_without_points_is_all_unknown():
    told = window()
    assert series(told)[:, :, :6].sum() == 0
    assert summary(describe(told)).sum() == 0


def test_the_last_value_of_one_window_is_not_held_into_the_next():
    both = [placed(("1-1", 200, 7), ("3-3", 30, 12)), placed(("1-1", 70, 2))]
    told = hourly([one.cell for one in both], [one.value for one in both], SCALE, 4)
    assert series(told)[1, :, 0].tolist() == [0, 2, 2, 2]
    assert series(told)[1, :, 6].tolist() == [1, 0, 0.25, 0.5]
    assert series(told)[1, :, 8].tolist() == [1, 1, 1, 1]


def test_the_minute_before_a_full_hour_belongs_to_the_hour_before():
    assert placed(("1-1", np.nextafter(np.float32(60), np.float32(0)), 2), ("1-1", 60, 2)).cell.tolist() == [0, 1]
