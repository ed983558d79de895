"""What the validation part fixes holds at a prevalence that the card states."""

import numpy as np
import pytest

from models.card import Card
from models.figures import plain_figures
from models.fix import fix_point
from models.judge import probabilities

CLASSES = ("common", "rare", "rarest")
CARD = Card(name="a", version="1", kind="scan", architecture="", task="", config={}, classes=CLASSES, labels=CLASSES)


def drawn(n, seed, shares=(0.80, 0.15, 0.05)):
    """Classes of unlike frequency, and the logits of a network that was taught to take them as alike, and is twice too sure."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(3, size=n, p=shares)
    return truth, 3 * (rng.normal(0, 1, (n, 3)) + 1.5 * np.eye(3)[truth])


def test_classes_of_unlike_frequency_are_told_as_often_as_they_come():
    card, (truth, logits) = fix_point(CARD, *drawn(600, 0)), drawn(5000, 1)
    told = plain_figures(card, truth, probabilities(card, logits))
    alike = plain_figures(CARD, truth, probabilities(CARD, logits))
    assert told["accuracy"] > alike["accuracy"] + 0.05
    assert told["ece"] < alike["ece"] / 2
    assert probabilities(card, logits).mean(axis=0) == pytest.approx([0.80, 0.15, 0.05], abs=0.03)


def test_the_card_says_at_which_prevalences_it_was_calibrated():
    truth, logits = drawn(200, 0)
    card = fix_point(CARD, truth, logits)
    assert [card.speaks_at(label) for label in CLASSES] == pytest.approx((np.bincount(truth) + 1) / 203)


@pytest.mark.parametrize(("wanted", "stated"), [(None, 0.25), (0.5, 0.5)])
def test_a_card_of_one_finding_says_so_too(wanted, stated):
    one = Card(name="a", version="1", kind="scan", architecture="", task="", config={}, classes=("no", "yes"), labels=("yes",))
    truth = np.array([0, 0, 0, 1] * 20)
    card = fix_point(one, truth, truth[:, None] + np.random.default_rng(0).normal(0, 1, (80, 1)), wanted)
    assert card.calibrated_for == {"yes": stated}


def test_labels_that_may_be_true_together_each_have_their_own():
    several = Card(
        name="a", version="1", kind="scan", architecture="", task="", config={}, classes=CLASSES, labels=CLASSES, multi_label=True
    )
    truth = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [1, 0, 0]] * 10)
    card = fix_point(several, truth, truth + np.random.default_rng(0).normal(0, 1, (40, 3)))
    assert card.calibrated_for == {"common": 0.75, "rare": 0.25, "rarest": 0.5}


@pytest.mark.parametrize(("apart", "told"), [(4.0, True), (1.0, False)])
def test_what_lies_between_the_operating_points_is_uncertain_where_it_is_little(apart, told):
    one = Card(name="a", version="1", kind="scan", architecture="", task="", config={}, classes=("no", "yes"), labels=("yes",))
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 1000)
    card = fix_point(one, truth, rng.normal(0, 1, (1000, 1)) + apart * truth[:, None])
    assert ("uncertain_between" in card.gates) is told
    if told:
        assert tuple(card.gates["uncertain_between"]) == tuple(sorted(card.operating_points.values()))
