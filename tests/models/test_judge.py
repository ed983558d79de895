"""From logits to findings."""

from dataclasses import replace

import numpy as np
import pytest

from models.card import UNCERTAINTY, Card
from models.judge import doubts, judge, probabilities, uncertainty
from models.site import Site

BINARY = Card(
    name="a", version="1", kind="scan", architecture="", task="", config={}, classes=("no", "yes"), labels=("yes",),
    temperature=2.0, offset=0.5, thresholds={"yes": 0.7}, gates={"uncertain_margin": 0.25, "unusual_error": 1.0},
)  # fmt: skip
SEVERAL = replace(BINARY, classes=("a", "b", "c"), labels=("a", "b", "c"), temperature=1.0, offset=0.0, abstention=0.5)


def test_a_logit_is_divided_by_the_temperature_and_shifted():
    assert probabilities(BINARY, np.array([3.0])) == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_several_classes_share_one():
    assert probabilities(SEVERAL, np.array([[1.0, 2.0, 3.0]])).sum() == pytest.approx(1)


def test_the_threshold_decides():
    assert judge(BINARY, np.array([3.0]), 0.0, {}).findings[0].positive
    assert not judge(BINARY, np.array([0.0]), 0.0, {}).findings[0].positive


def test_near_the_threshold_is_uncertain():
    at_threshold = (np.log(0.7 / 0.3) - 0.5) * 2
    assert judge(BINARY, np.array([at_threshold]), 0.0, {}).uncertain
    assert not judge(BINARY, np.array([9.0]), 0.0, {}).uncertain


@pytest.mark.parametrize(("chance", "uncertain"), [(0.19, False), (0.21, True), (0.6, True), (0.95, False)])
def test_between_the_operating_points_is_uncertain_at_any_prevalence(chance, uncertain):
    card = replace(BINARY, gates={"uncertain_between": [0.2, 0.7]}, prevalence={"yes": 0.5})
    logit = np.array([(np.log(chance / (1 - chance)) - 0.5) * 2])
    assert judge(card, logit, 0.0, {}).uncertain is uncertain
    assert judge(replace(card, site=Site(prevalence={"yes": 0.1})), logit, 0.0, {}).uncertain is uncertain
    assert not judge(replace(card, site=Site(threshold={"yes": 0.4})), logit, 0.0, {}).uncertain


def test_an_unusual_input_is_uncertain():
    assert judge(BINARY, np.array([9.0]), 1.5, {}).uncertain


def test_only_the_greatest_is_positive():
    positive = [finding.positive for finding in judge(SEVERAL, np.array([0.0, 5.0, 1.0]), 0.0, {}).findings]
    assert positive == [False, True, False]


def test_below_the_abstention_limit_none_is_positive_and_it_is_uncertain():
    told = judge(SEVERAL, np.array([0.0, 0.1, 0.2]), 0.0, {})
    assert told.uncertain
    assert not any(finding.positive for finding in told.findings)


@pytest.mark.parametrize(
    ("card", "passes", "expected"),
    [
        (BINARY, [[200.0], [180.0]], 0.0),
        (BINARY, [[99.0], [-101.0]], np.log(2)),
        (SEVERAL, [[50.0, 0.0, 0.0], [50.0, 0.0, 0.0]], 0.0),
        (SEVERAL, [[50.0, 0.0, 0.0], [0.0, 50.0, 0.0], [0.0, 0.0, 50.0]], np.log(3)),
        (replace(SEVERAL, multi_label=True), [[50.0, 50.0, -50.0], [50.0, -50.0, -50.0]], np.log(2)),
    ],
)
def test_uncertainty_is_the_entropy_of_what_the_passes_say_on_average(card, passes, expected):
    assert uncertainty(card, np.array(passes)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("limit", "uncertain"), [(0.6, True), (0.7, False)])
def test_above_the_limit_of_predictive_uncertainty_it_is_uncertain_at_any_prevalence(limit, uncertain):
    card = replace(BINARY, gates={UNCERTAINTY: {"passes": 2, "limit": limit}}, prevalence={"yes": 0.5})
    passes = np.array([[99.0], [-101.0]])
    for one in (card, replace(card, site=Site(prevalence={"yes": 0.01}))):
        told = judge(one, np.array([9.0]), 0.0, {}, passes)
        assert told.uncertain is uncertain
        assert told.details[UNCERTAINTY] == pytest.approx(np.log(2), abs=1e-6)


def test_each_gate_after_the_model_says_by_itself_whether_it_marks():
    card = replace(BINARY, gates={**BINARY.gates, "uncertain_between": [0.2, 0.69], UNCERTAINTY: {"passes": 2, "limit": 0.1}})
    assert doubts(card, np.array([0.69]), 2.0, 0.05) == {
        "reconstruction error": True,
        "margin": True,
        "operating points": False,
        "predictive uncertainty": False,
    }
    assert doubts(SEVERAL, np.array([0.4, 0.3, 0.3]), 0.0, None) == {"reconstruction error": False, "abstention limit": True}


def test_details_are_kept_and_the_error_is_added():
    assert judge(BINARY, np.array([0.0]), 0.25, {"rows": 5}).details == {"rows": 5, "reconstruction_error": 0.25}
