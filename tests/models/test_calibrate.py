"""What the validation part fixes."""

import numpy as np
import pytest

from models import calibrate
from models.judge import softmax
from models.metrics import calibration_line


def drawn(slope=0.5, n=4000, shift=0.0):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, n)
    return (rng.random(n) < 1 / (1 + np.exp(-(slope * logits + shift)))).astype(int), logits


def test_temperature_and_offset_are_found_again():
    temperature, offset = calibrate.fit_line(*drawn(slope=0.5, shift=-0.7), None)
    assert (temperature, offset) == pytest.approx((2.0, -0.7), abs=0.15)


def test_another_prevalence_moves_only_the_offset():
    truth, logits = drawn()
    plain, rare = calibrate.fit_line(truth, logits, None), calibrate.fit_line(truth, logits, 0.1)
    assert rare[0] == pytest.approx(plain[0], rel=0.1)
    assert rare[1] - plain[1] == pytest.approx(np.log(0.1 / 0.9) - np.log(truth.mean() / (1 - truth.mean())), abs=0.2)


def test_a_perfectly_separated_validation_part_stays_finite():
    temperature, offset = calibrate.fit_line(np.array([0, 0, 1, 1]), np.array([-9.0, -8, 8, 9]), None)
    assert 0 < temperature < 10
    assert abs(offset) < 1


def told(offsets, n, scale=1.0):
    """Logits of a network that takes classes as alike and is ``scale`` times too sure; they are as ``offsets`` have it."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (n, len(offsets)))
    chance = softmax(logits + np.asarray(offsets))
    return np.array([rng.choice(len(offsets), p=row) for row in chance]), scale * logits


@pytest.mark.parametrize("scale", [0.3, 3, 20])
def test_the_temperature_and_the_offsets_of_several_classes_are_found_again(scale):
    temperature, offsets = calibrate.fit_classes(*told((0.5, 1.5, -1, -1), 20000, scale))
    assert temperature == pytest.approx(scale, rel=0.05)
    assert offsets == pytest.approx((0.5, 1.5, -1, -1), abs=0.1)


def test_a_class_of_few_examples_hardly_gets_an_offset():
    _, offsets = calibrate.fit_classes(np.array([0, 0, 1, 1, 2]), np.zeros((5, 3)))
    assert max(map(abs, offsets)) < 0.2


def test_a_class_that_validation_lacks_stays_possible():
    truth = np.repeat([0, 1], 50)
    _, offsets = calibrate.fit_classes(truth, np.random.default_rng(0).normal(0, 1, (100, 3)))
    assert -4 < offsets[2] < 0
    assert calibrate.shares(truth, 3) == pytest.approx(np.array([51, 51, 1]) / 103)


def test_perfectly_separated_classes_stay_finite():
    truth = np.repeat([0, 1, 2], 30)
    temperature, offsets = calibrate.fit_classes(truth, 300 * np.eye(3)[truth])
    assert temperature > 0.1
    assert np.isfinite(offsets).all()


@pytest.mark.parametrize("n", [20, 40, 333])
def test_the_threshold_finds_95_of_100_and_is_the_greatest_that_does(n):
    rng = np.random.default_rng(n)
    truth, chance = np.repeat([1, 0], n), rng.random(2 * n)
    threshold = calibrate.sensitive_threshold(truth, chance)
    assert np.mean(chance[:n] >= threshold) >= 0.95
    above = chance[chance >= threshold].min()
    assert np.mean(chance[:n] >= above + 1e-9) < 0.95


def test_gates_refuse_one_in_a_hundred():
    errors = np.random.default_rng(0).random(1000)
    gates = calibrate.error_gates(errors)
    assert np.mean(errors > gates["reconstruction_error"]) == pytest.approx(0.01, abs=0.002)
    assert gates["unusual_error"] < gates["reconstruction_error"]


def test_a_calibrated_line_is_one_and_zero():
    truth, logits = drawn(slope=0.5)
    temperature, offset = calibrate.fit_line(truth, logits, None)
    line = calibration_line(truth == 1, 1 / (1 + np.exp(-(logits / temperature + offset))))
    assert line == pytest.approx((1, 0), abs=0.01)
