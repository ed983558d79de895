"""Explanations that can be believed: they follow the weights, and what they mark matters more than anything else at random."""

import json

import cv2
import numpy as np
import pytest
import torch
from model_samples import jpeg, note, picture, points

from models.catalogue import load
from models.explain import explain
from models.explain_note import MOST_READ, blank, together, words_of
from models.explain_scan import BLURRED, WAYS, draw, heat
from models.golden import check_samples
from models.question import Question
from stream.judgement import Sample
from stream.points import decode_points


@pytest.fixture(scope="module")
def shipped():
    return load("scan-chest-pneumonia")


def shuffled(name_or_card):
    """The same model with random weights."""
    model = load(name_or_card)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in model.network.parameters():
            parameter.data = torch.randn_like(parameter) * parameter.std(correction=0)
    return model


def ask(model, sample, label=None):
    return Question(model=model, sample=sample, label=label or model.card.labels[0])


# Scans --------------------------------------------------------------------------------------------------------------


def squares(places, count):
    """(64,) which of 8 by 8 squares are hidden: those with the most heat."""
    side = len(places) // 8
    heats = places[: 8 * side, : 8 * side].reshape(8, side, 8, side).sum((1, 3)).ravel()
    return heats.argsort()[-count:]


def hide(pictures, chosen):
    """The squares take the colour of their surroundings."""
    mask = torch.zeros(64)
    mask[torch.as_tensor(chosen)] = 1
    side = pictures.shape[-1]
    wide = torch.nn.functional.interpolate(mask.reshape(1, 1, 8, 8), size=(side, side), mode="nearest").bool()
    half = int(side * BLURRED / 2)
    around = torch.nn.functional.avg_pool2d(pictures, 2 * half + 1, 1, half, count_include_pad=False)
    return torch.where(wide, around, pictures)


@pytest.mark.parametrize("method", sorted(WAYS))
def test_hiding_what_a_heat_map_marks_lowers_the_score_more_than_hiding_as_much_at_random(shipped, method, monkeypatch):
    monkeypatch.setattr("models.explain_scan.differentiable", lambda _: method != "occlusion")
    monkeypatch.setitem(shipped.card.explanation, "method", method)
    rng = np.random.default_rng(0)
    marked, anywhere = [], []
    for sample in check_samples(shipped.card)[: 3 if method == "occlusion" else 6]:
        question = ask(shipped, sample)
        used, places = heat(question)
        assert used == method
        pictures = shipped.pictures([shipped.read(sample)])
        with torch.no_grad():
            whole = shipped.network(pictures).item()
            marked.append(whole - shipped.network(hide(pictures, squares(places, 8))).item())
            at_random = [shipped.network(hide(pictures, rng.choice(64, 8, replace=False))).item() for _ in range(4)]
        anywhere.append(whole - np.mean(at_random))
    assert np.mean(marked) > np.mean(anywhere)
    assert np.mean(marked) > 0


def test_a_heat_map_changes_when_the_weights_are_random(shipped):
    sample = Sample(contents=(jpeg(picture(1, 5, side=160)),))
    own, other = (heat(ask(model, sample))[1].ravel() for model in (shipped, shuffled("scan-chest-pneumonia")))
    assert np.corrcoef(own, other)[0, 1] < 0.5


def test_a_heat_map_is_a_small_png_of_the_models_size_that_can_be_laid_over(shipped):
    (found,) = explain(shipped, Sample(contents=(jpeg(picture(1, 5)),)), ["pneumonia"])
    shown = cv2.imdecode(np.frombuffer(found.body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert (found.kind, found.label, found.media_type) == ("heat_map", "pneumonia", "image/png")
    assert shown.shape == (shipped.side, shipped.side, 4)
    assert shown[..., 3].min() == 0 < shown[..., 3].max()
    assert len(found.body) < 20_000


def test_where_nothing_speaks_for_a_finding_nothing_is_drawn():
    shown = cv2.imdecode(np.frombuffer(draw(np.full((8, 8), -1.0, np.float32)), np.uint8), cv2.IMREAD_UNCHANGED)
    assert not shown.any()


def test_the_same_picture_is_explained_the_same_way_again(shipped):
    sample = Sample(contents=(jpeg(picture(1, 5)),))
    assert explain(shipped, sample, ["pneumonia"]) == explain(shipped, sample, ["pneumonia"])


# Labs ---------------------------------------------------------------------------------------------------------------


def stay(ill):
    rows = [("14682-9", hour * 60 + 10, 0.9 + ill * 0.045 * hour) for hour in range(0, 48, 6)]
    return Sample(
        contents=(points([*rows, *(("2823-3", hour * 60 + 5, 4.0) for hour in range(0, 48, 6))]),), facts={"age_years": 50}
    )


def told(model, sample):
    (found,) = explain(model, sample, model.card.labels[:1])
    return json.loads(found.body)


def test_what_makes_the_difference_is_found_in_a_stay(lab_model):
    found = told(lab_model, stay(1))
    weights = dict(zip([one.name for one in lab_model.card.analytes], [0.0] * 2, strict=True)) | found["analytes"]
    creatinine = next(one.name for one in lab_model.card.analytes if "14682-9" in one.codes)
    assert max(weights, key=weights.get) == creatinine
    assert len(found["hours"]) == 48
    assert all(found["hours"][hour] == 0.0 for hour in range(48) if hour % 6)


def test_the_weights_of_analytes_and_facts_add_up_to_the_score(lab_model):
    sample = stay(1)
    found = told(lab_model, sample)
    empty = Sample(contents=(b"",), facts={})
    whole, nothing = ask(lab_model, sample).score([sample, empty])
    assert sum(found["analytes"].values()) + sum(found["facts"].values()) == pytest.approx(whole - nothing, abs=1e-2)


def test_leaving_out_the_weightiest_hours_lowers_the_score_more_than_hours_at_random(lab_model):
    rows = [("14682-9", hour * 60 + 10, 3.0 if hour in (24, 42) else 0.9) for hour in range(0, 48, 6)]
    sample = Sample(
        contents=(points([*rows, *(("2823-3", hour * 60 + 5, 4.0) for hour in range(0, 48, 6))]),), facts={"age_years": 50}
    )
    results = decode_points(sample.contents[0])
    hour = (results["minute"] // 60).astype(int)
    heavy = np.argsort(told(lab_model, sample)["hours"])[-2:]
    rng = np.random.default_rng(0)
    chosen = [heavy, *[rng.choice(np.unique(hour), 2, replace=False) for _ in range(12)]]
    scores = ask(lab_model, sample).score(
        [Sample(contents=(results[~np.isin(hour, one)].tobytes(),), facts=sample.facts) for one in chosen]
    )
    assert scores[0] < scores[1:].mean()


def test_a_stay_is_explained_otherwise_when_the_weights_are_random(lab_model, lab_card):
    other = shuffled(lab_card)
    other.network.trees.leaf.copy_(torch.randn_like(other.network.trees.leaf))
    own, changed = ([*told(model, stay(1))["hours"]] for model in (lab_model, other))
    assert own != pytest.approx(changed, rel=0.2)


# Notes --------------------------------------------------------------------------------------------------------------


def test_the_words_of_a_specialty_speak_for_it(note_model):
    text = "The knee joint was seen. Fracture, BONE and ligament; follow in 2 weeks."
    (found,) = explain(note_model, Sample(contents=(text.encode(),)), ["bone"])
    weights = {text[one["start"] : one["end"]]: one["weight"] for one in json.loads(found.body)}
    assert {"knee", "Fracture", "BONE", "2"} <= weights.keys()
    assert min(weights["knee"], weights["BONE"]) > max(weights["was"], weights["The"])


def test_taking_out_the_weightiest_words_lowers_the_score_more_than_words_at_random(note_model):
    text = note("heart", 3)
    (found,) = explain(note_model, Sample(contents=(text.encode(),)), ["heart"])
    words = words_of(text)
    heavy = {one["start"] for one in sorted(json.loads(found.body), key=lambda one: one["weight"])[-10:]}
    rng = np.random.default_rng(0)
    chosen = [[word for word in words if word.start in heavy]]
    chosen += [[words[place] for place in sorted(rng.choice(len(words), 10, replace=False))] for _ in range(8)]
    scores = ask(note_model, Sample(contents=()), "heart").score([Sample(contents=(blank(text, one).encode(),)) for one in chosen])
    assert scores[0] < scores[1:].min()


def test_a_note_is_explained_otherwise_when_the_weights_are_random(note_model, note_card):
    sample = Sample(contents=(note("heart", 3).encode(),))
    bodies = [explain(model, sample, ["heart"])[0].body for model in (note_model, shuffled(note_card))]
    assert bodies[0] != bodies[1]


def test_a_long_note_has_neighbours_taken_out_together_so_that_it_takes_no_longer():
    words = words_of(
        " ".join(f"word{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10 % 10]}{'uvwxyz'[n // 100 % 6]}" for n in range(3000))
    )
    groups = together(words)
    assert len(groups) * len(words) <= MOST_READ + len(words)
    assert [word for group in groups for word in group] == words


def test_a_letter_that_grows_in_lower_case_moves_no_place():
    assert [(word.text, word.start) for word in words_of("İ Bone")] == [("Bone", 2)]


def test_an_empty_note_has_nothing_to_explain(note_model):
    assert json.loads(explain(note_model, Sample(contents=(b" ",)), ["heart"])[0].body) == []
