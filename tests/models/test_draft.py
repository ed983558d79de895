"""Which labels a card finds."""

import pytest

from models.card import Card
from models.draft import with_labels
from models.example import Example
from models.plan import Parts
from stream.errors import Refused
from stream.judgement import Sample

CARD = Card(name="a", version="1", kind="note", architecture="", task="", config={}, classes=(), labels=())


def found(*labels, **about):
    """(classes, findings) of a set that has one example of each of the labels."""
    parts = [Example(id=label, label=label, group=label, open=lambda: Sample(contents=())) for label in labels]
    card = with_labels(CARD, Parts(train=parts, validation=parts, test=parts), about)
    return card.classes, card.labels


@pytest.mark.parametrize("nothing", ["no", "Normal", "control", "benign", "alive", "other", "0"])
def test_of_two_labels_the_one_that_is_no_word_for_nothing_is_found(nothing):
    for label in ("A finding", "zoster"):
        assert found(nothing, label) == ((nothing, label), (label.lower(),))


def test_the_positive_label_is_the_one_that_is_found():
    assert found("left", "right", positive="LEFT") == (("right", "left"), ("left",))
    assert found("normal", "ill", positive="normal", finding="all is well") == (("ill", "normal"), ("all is well",))


@pytest.mark.parametrize("labels", [("left", "right"), ("no", "normal")])
def test_where_no_label_is_the_obvious_one_it_must_be_named(labels):
    with pytest.raises(Refused, match=r"which of .* is to be found\? Say positive in about.json"):
        found(*labels)


def test_a_positive_that_is_no_label_is_refused():
    with pytest.raises(Refused, match="positive nonsense is none of the labels ill and normal"):
        found("normal", "ill", positive="nonsense")


@pytest.mark.parametrize("name", ["positive", "finding"])
def test_of_more_labels_none_is_the_positive_one(name):
    with pytest.raises(Refused, match="where there are two labels"):
        found("a", "b", "c", **{name: "a"})
