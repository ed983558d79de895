"""Our own figures against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics as theirs
from sklearn.linear_model import LogisticRegression

from models import metrics as ours


@pytest.fixture(scope="module")
def binary():
    rng = np.random.default_rng(0)
    truth = (rng.random(500) < 0.3).astype(int)
    chance = np.clip(np.round(rng.normal(0.35 + 0.2 * truth, 0.2), 2), 0.01, 0.99)  # rounded: many ties
    return truth, chance


@pytest.fixture(scope="module")
def several():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 400)
    chance = rng.random((400, 4)) + 0.8 * np.eye(4)[truth]
    return truth, chance / chance.sum(axis=1, keepdims=True)


def test_two_classes_as_scikit_learn_has_them(binary):
    truth, chance = binary
    told, ours_all = (chance >= 0.45).astype(int), ours.two_classes(truth, chance, 0.45)
    assert ours_all["confusion"] == theirs.confusion_matrix(truth, told).tolist()
    expected = {
        "accuracy": theirs.accuracy_score(truth, told),
        "sensitivity": theirs.recall_score(truth, told),
        "specificity": theirs.recall_score(truth, told, pos_label=0),
        "precision": theirs.precision_score(truth, told),
        "f1": theirs.f1_score(truth, told),
        "f1_macro": theirs.f1_score(truth, told, average="macro"),
        "auroc": theirs.roc_auc_score(truth, chance),
        "auprc": theirs.average_precision_score(truth, chance),
        "brier": theirs.brier_score_loss(truth, chance),
    }
    assert {name: ours_all[name] for name in expected} == pytest.approx(expected)
    assert ours_all["min_se_ppv"] == min(ours_all["sensitivity"], ours_all["precision"])


def test_several_classes_as_scikit_learn_has_them(several):
    truth, chance = several
    told, ours_all = chance.argmax(axis=1), ours.many_classes(truth, chance, ("a", "b", "c", "d"))
    assert ours_all["confusion"] == theirs.confusion_matrix(truth, told).tolist()
    assert ours_all["f1_macro"] == pytest.approx(theirs.f1_score(truth, told, average="macro"))
    assert ours_all["sensitivity"] == pytest.approx(theirs.recall_score(truth, told, average="macro"))
    assert ours_all["auroc"] == pytest.approx(theirs.roc_auc_score(truth, chance, multi_class="ovr", average="macro"))
    assert ours_all["per_class"]["b"]["precision"] == pytest.approx(theirs.precision_score(truth, told, average=None)[1])


def test_the_calibration_line_as_logistic_regression_has_it(binary):
    truth, chance = binary
    logit = np.log(chance / (1 - chance))[:, None]
    fitted = LogisticRegression(C=1e9, tol=1e-10).fit(logit, truth)
    slope, intercept = ours.calibration_line(truth == 1, chance)
    assert (slope, intercept) == pytest.approx((fitted.coef_[0, 0], fitted.intercept_[0]), abs=1e-3)


def test_a_perfectly_calibrated_prediction_has_hardly_any_error():
    rng = np.random.default_rng(2)
    chance = rng.random(20000)
    happened = rng.random(20000) < chance
    assert ours.calibration_error(happened, chance) < 0.02
    assert ours.calibration_error(happened, np.full(20000, 0.9)) == pytest.approx(0.4, abs=0.02)


def test_what_is_not_defined_is_none():
    truth, chance = np.zeros(5, int), np.linspace(0.1, 0.5, 5)
    figures = ours.two_classes(truth, chance, 0.9)
    assert [figures[name] for name in ("auroc", "auprc", "sensitivity", "precision", "calibration_slope")] == [None] * 5
    assert figures["min_se_ppv"] is None
    assert figures["accuracy"] == 1


def test_finding_none_of_those_there_are_counts_as_the_worst():
    truth, chance = np.array([1, 0, 0]), np.full(3, 0.1)
    figures = ours.two_classes(truth, chance, 0.5)
    assert [figures[name] for name in ("sensitivity", "precision", "min_se_ppv")] == [0, 0, 0]
    truth, chance = np.array([0, 0, 1, 1]), np.tile([0.9, 0.1], (4, 1))
    figures, told = ours.many_classes(truth, chance, ("a", "b")), chance.argmax(axis=1)
    assert figures["precision"] == theirs.precision_score(truth, told, average="macro", zero_division=0)
    assert figures["min_se_ppv"] == 0.25


def test_predictive_values_follow_bayes():
    assert ours.predictive_values(0.9, 0.8, 0.5)["ppv"] == pytest.approx(0.45 / 0.55)
    assert ours.predictive_values(0.9, 0.8, 0.05)["npv"] == pytest.approx(0.76 / 0.765)


def test_written_texts_are_classes_and_any_other_text_is_wrong():
    truth, told = ["a b", "a b", "c", "c"], ["a b", "c", "c", "nonsense"]
    expected = theirs.f1_score(truth, told, labels=["a b", "c"], average="macro")
    assert ours.f1_of_texts(told, truth) == pytest.approx(expected)


def test_each_class_has_its_least_of_sensitivity_and_precision(several):
    truth, chance = several
    rows = ours.many_classes(truth, chance, ("a", "b", "c", "d"))["per_class"].values()
    assert all(row["min_se_ppv"] == min(row["sensitivity"], row["precision"]) for row in rows)


def test_an_error_that_is_held_back_is_no_longer_passed_on():
    truth, right = np.array([True, True, True, False]), np.array([False, True, False, True])
    assert ours.held_back(truth, right) == {
        "held_back": 0.5,
        "held_back_of_errors": 1.0,
        "held_back_of_correct": pytest.approx(1 / 3),
    }
    assert ours.held_back(np.ones(2, bool), np.zeros(2, bool))["held_back_of_errors"] is None
