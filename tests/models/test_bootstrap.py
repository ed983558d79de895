"""Intervals draw patients, not inputs."""

import numpy as np
import pytest

from models.bootstrap import draws_of, intervals
from models.metrics import two_classes


def test_all_inputs_of_a_patient_are_drawn_together():
    groups = [f"p{number // 3}" for number in range(60)]
    for places in draws_of(groups, 20):
        counts = np.bincount(places, minlength=60).reshape(20, 3)
        assert (counts == counts[:, :1]).all()
        assert len(places) == 60


def test_an_interval_is_about_as_wide_as_theory_says():
    values = np.random.default_rng(1).normal(0, 1, 400)
    low, high = intervals(lambda at: {"mean": float(values[at].mean())}, [str(n) for n in range(400)], 400)["mean"]
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.2)
    assert low < values.mean() < high


def test_copies_of_one_patient_do_not_narrow_the_interval():
    values = np.repeat(np.random.default_rng(1).normal(0, 1, 100), 4)
    patients, inputs = [str(n // 4) for n in range(400)], [str(n) for n in range(400)]
    wide, narrow = (intervals(lambda at: {"m": float(values[at].mean())}, one, 300)["m"] for one in (patients, inputs))
    assert wide[1] - wide[0] > 1.6 * (narrow[1] - narrow[0])


def test_a_few_patients_give_no_interval():
    assert intervals(lambda at: {"n": float(len(at))}, ["a", "b"] * 20, 10) == {}


def test_intervals_are_nested_as_the_figures_are():
    told = intervals(lambda at: {"a": {"b": float(at[0])}, "c": 1.0, "d": 7}, [str(n) for n in range(20)], 5)
    assert set(told) == {"a", "c"}
    assert told["c"] == [1.0, 1.0]
    assert set(told["a"]) == {"b"}


def test_draws_in_which_nothing_is_called_positive_count_as_the_worst():
    truth, chance = np.repeat([1, 0], 20), np.full(40, 0.1)
    chance[0] = 0.9
    patients = [str(n) for n in range(40)]
    found = intervals(lambda at: two_classes(truth[at], chance[at], 0.5), patients, 100)
    assert found["precision"] == [0.0, 1.0]
    assert found["min_se_ppv"][0] == 0.0
