"""Evaluation scores every labelled input as the worker would, and tells of the gates beside."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from model_samples import jpeg, picture, scan_folder

from models.evaluate import evaluate
from models.examples import read_examples
from models.judge import judge
from models.metrics import held_back
from models.site import Site
from models.split import Split
from stream.errors import Refused, Rejected


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def judged(model, sample):
    """Probabilities by label, or the reason of the refusal."""
    try:
        prepared = model.prepare(sample)
        findings = model.interpret(prepared, model.infer([prepared])[0]).findings
    except Rejected as refusal:
        return refusal.reason
    return {finding.label: finding.probability for finding in findings}


@pytest.mark.parametrize("kind", ["scan", "lab", "note"])
def test_evaluation_equals_prepare_infer_interpret(kind, request, tmp_path):
    model, source = request.getfixturevalue(f"{kind}_model"), request.getfixturevalue(f"{kind}s" if kind != "lab" else "stays")
    evaluate(model.card, source, scores=tmp_path / "scores.csv")
    written = {row["id"]: row for row in rows(tmp_path / "scores.csv")}
    told = [(written[example.id], judged(model, example.open())) for example in read_examples(kind, source)[:40]]
    assert [row["refusal"] for row, _ in told] == [one if isinstance(one, str) else "" for _, one in told]
    accepted = [(row, one) for row, one in told if not isinstance(one, str)]
    assert len(accepted) > 30
    for row, chances in accepted:
        assert {label: float(row[label]) for label in chances} == pytest.approx(chances, abs=1e-5)


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


def test_the_parts_are_the_ones_of_the_card(lab_card, stays):
    counts = [evaluate(lab_card, stays, part=part)["n"] for part in ("train", "validation", "test")]
    assert sum(counts) == 240
    assert counts == list(lab_card.training["n"].values())
    assert Split.from_recipe(lab_card.split) == Split(validation=0.12, test=0.10)


def test_a_part_that_does_not_exist_is_refused(lab_card, stays):
    with pytest.raises(Refused, match="no part"):
        evaluate(lab_card, stays, part="rest")


def test_a_device_that_is_not_there_is_refused(lab_card, stays):
    with pytest.raises(Refused, match="cuda:99 cannot be used here: "):
        evaluate(lab_card, stays, device="cuda:99")


def test_an_unreadable_input_is_counted_and_does_not_stop_the_rest(scan_card, tmp_path):
    folder = scan_folder(tmp_path, 6)
    (folder / "ILL" / "broken.jpeg").write_bytes(b"\xff\xd8nothing")
    told = evaluate(scan_card, folder, scores=tmp_path / "s.csv")
    assert (told["n"], told["unreadable"]) == (6, 1)
    assert told["coverage"] <= 6 / 7
    assert [row["ill"] == "" for row in rows(tmp_path / "s.csv")].count(True) == 1


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


@pytest.mark.parametrize("kind", ["scan", "lab", "note"])
def test_an_input_is_uncertain_where_the_judgement_says_so_whatever_the_site_says(kind, request, tmp_path):
    model, source = request.getfixturevalue(f"{kind}_model"), request.getfixturevalue(f"{kind}s" if kind != "lab" else "stays")
    examples = read_examples(kind, source)[:40]
    scores = [model.infer([model.read(example.open())])[0] for example in examples]
    usual = float(np.median([one.error for one in scores]))
    card = replace(model.card, gates={"unusual_error": usual * 1.001, "uncertain_margin": 1.0}, abstention=0.5)
    site = replace(card, site=Site(prevalence=dict.fromkeys(card.labels, 0.01), threshold=dict.fromkeys(card.labels, 0.01)))
    evaluate(site, source, scores=tmp_path / "scores.csv")
    written = {row["id"]: row["uncertain"] == "1" for row in rows(tmp_path / "scores.csv")}
    said = {example.id: judge(card, one.logits, one.error, {}).uncertain for example, one in zip(examples, scores, strict=True)}
    assert {name: written[name] for name in said} == said
    assert set(said.values()) == {True, False}


def test_an_error_that_is_held_back_is_no_longer_passed_on():
    truth, right = np.array([True, True, True, False]), np.array([False, True, False, True])
    assert held_back(truth, right) == {"held_back": 0.5, "held_back_of_errors": 1.0, "held_back_of_correct": pytest.approx(1 / 3)}
    assert held_back(np.ones(2, bool), np.zeros(2, bool))["held_back_of_errors"] is None


def test_every_class_has_its_own_intervals(note_card, notes):
    told = evaluate(note_card, notes)
    for label, row in told["per_class"].items():
        low, high = told["intervals"]["per_class"][label]["f1"]
        assert low <= row["f1"] <= high


def test_a_label_that_the_card_does_not_have_is_refused(scan_card, tmp_path):
    (tmp_path / "OTHER").mkdir()
    (tmp_path / "OTHER" / "a.jpeg").write_bytes(jpeg(picture(0)))
    with pytest.raises(Refused, match="label OTHER"):
        evaluate(scan_card, tmp_path)


def test_figures_are_given_by_sex_and_age_band(lab_card, stays):
    told = evaluate(lab_card, stays)["groups"]
    assert told["sex female"]["n"] == 240
    assert told["age 16 to 44"]["n"] + told["age 45 to 64"]["n"] + told["age 65 to 79"]["n"] == 240
