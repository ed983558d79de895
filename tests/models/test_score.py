"""Evaluation scores every labelled input as the worker would."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from model_samples import jpeg, picture, scan_folder

from models.card import UNCERTAINTY
from models.catalogue import load
from models.evaluate import evaluate
from models.examples import read_examples
from models.judge import judge, uncertainty
from models.site import Site
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


def test_an_unreadable_input_is_counted_and_does_not_stop_the_rest(scan_card, tmp_path):
    folder = scan_folder(tmp_path, 6)
    (folder / "ILL" / "broken.jpeg").write_bytes(b"\xff\xd8nothing")
    told = evaluate(scan_card, folder, scores=tmp_path / "s.csv")
    assert (told["n"], told["unreadable"]) == (6, 1)
    assert told["coverage"] <= 6 / 7
    assert [row["ill"] == "" for row in rows(tmp_path / "s.csv")].count(True) == 1


@pytest.mark.parametrize("kind", ["scan", "lab", "note"])
def test_an_input_is_uncertain_where_the_judgement_says_so_whatever_the_site_says(kind, request, tmp_path):
    model, source = request.getfixturevalue(f"{kind}_model"), request.getfixturevalue(f"{kind}s" if kind != "lab" else "stays")
    examples = read_examples(kind, source)[:40]
    drawing = load(replace(model.card, gates={UNCERTAINTY: {"passes": 8}}))
    scores = [drawing.infer([drawing.read(example.open())])[0] for example in examples]
    usual = float(np.quantile([one.error for one in scores], 0.7))
    limit = float(np.quantile([uncertainty(model.card, one.passes) for one in scores], 0.7))
    gates = {"unusual_error": usual * 1.001, "uncertain_margin": 1.0, UNCERTAINTY: {"passes": 8, "limit": limit * 1.001}}
    card = replace(model.card, gates=gates, abstention=0.5)
    site = replace(card, site=Site(prevalence=dict.fromkeys(card.labels, 0.01), threshold=dict.fromkeys(card.labels, 0.01)))
    evaluate(site, source, scores=tmp_path / "scores.csv")
    written = {row["id"]: row["uncertain"] == "1" for row in rows(tmp_path / "scores.csv")}
    said = {
        example.id: judge(card, one.logits, one.error, {}, one.passes).uncertain
        for example, one in zip(examples, scores, strict=True)
    }
    assert {name: written[name] for name in said} == said
    assert set(said.values()) == {True, False}


def test_a_label_that_the_card_does_not_have_is_refused(scan_card, tmp_path):
    (tmp_path / "OTHER").mkdir()
    (tmp_path / "OTHER" / "a.jpeg").write_bytes(jpeg(picture(0)))
    with pytest.raises(Refused, match="label OTHER"):
        evaluate(scan_card, tmp_path)
