"""Figures over all inputs and over accepted ones, with intervals, by class and by group of patients."""

import csv

import numpy as np
import pytest

from models.evaluate import evaluate


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_figures_are_over_all_inputs_and_over_accepted_ones(scan_card, scans):
    told = evaluate(scan_card, scans)
    assert told["n"] == 120
    assert told["accepted"]["n"] == round(told["coverage"] * 120)
    keys = ("accuracy", "sensitivity", "specificity", "f1_macro", "auroc", "auprc", "min_se_ppv", "ece", "confusion")
    assert all(told[key] is not None for key in keys)
    assert np.sum(told["confusion"]) == 120


def test_several_classes_are_told_one_by_one(note_card, notes):
    told = evaluate(note_card, notes)
    assert set(told["per_class"]) == {"bone", "heart", "skin"}
    assert {"n", "sensitivity", "specificity", "precision", "f1", "auroc"} <= set(told["per_class"]["skin"])


def test_intervals_hold_the_figures_and_predictive_values_are_told(lab_card, stays):
    told = evaluate(lab_card, stays, part="train")
    for name in ("auroc", "brier", "ppv_at_0.05", "npv_at_0.5"):
        low, high = told["intervals"][name]
        assert low <= told[name] <= high
    assert told["ppv_at_0.05"] <= told["ppv_at_0.2"] <= told["ppv_at_0.5"]
    assert "auroc" in told["groups"]["sex female"]["intervals"]
    low, high = told["intervals"]["operating_points"][told["operating_point"]]["sensitivity"]
    assert low <= told["operating_points"][told["operating_point"]]["sensitivity"] <= high


@pytest.mark.parametrize(("kind", "source"), [("scan", "scans"), ("lab", "stays"), ("note", "notes")])
def test_what_the_gates_hold_back_is_told_of_errors_and_of_correct_ones(kind, source, request, tmp_path):
    told = evaluate(request.getfixturevalue(f"{kind}_card"), request.getfixturevalue(source), scores=tmp_path / "scores.csv")
    held = [row["refusal"] != "" or row["uncertain"] == "1" for row in rows(tmp_path / "scores.csv")]
    assert told["held_back"] == pytest.approx(np.mean(held))
    wrong = round((1 - told["accuracy"]) * told["n"])
    parts = wrong * (told["held_back_of_errors"] or 0) + (told["n"] - wrong) * told["held_back_of_correct"]
    assert parts == pytest.approx(sum(held))
    low, high = told["intervals"]["held_back_of_correct"]
    assert low <= told["held_back_of_correct"] <= high


def test_each_gate_that_marks_is_told_by_itself(scan_card, scans, tmp_path):
    told = evaluate(scan_card, scans, scores=tmp_path / "scores.csv")
    marked = [row["uncertain"] == "1" for row in rows(tmp_path / "scores.csv")]
    each = [one["held_back"] for one in told["marked_by"].values()]
    assert {"reconstruction error", "margin"} <= set(told["marked_by"])
    assert max(each) <= np.mean(marked) <= sum(each) + 1e-9
    assert set(told["intervals"]["marked_by"]) == set(told["marked_by"]) == set(told["accepted"]["marked_by"])


def test_every_class_has_its_own_intervals(note_card, notes):
    told = evaluate(note_card, notes)
    for label, row in told["per_class"].items():
        low, high = told["intervals"]["per_class"][label]["f1"]
        assert low <= row["f1"] <= high


def test_figures_are_given_by_sex_and_age_band(lab_card, stays):
    told = evaluate(lab_card, stays)["groups"]
    assert told["sex female"]["n"] == 240
    assert told["age 16 to 44"]["n"] + told["age 45 to 64"]["n"] + told["age 65 to 79"]["n"] == 240
