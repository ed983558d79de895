"""Textbook networks train by the same command and make cards like any other."""

import pytest

from models.catalogue import load
from models.train import train
from stream.errors import Refused


@pytest.mark.parametrize("name", ["cnn3", "cnn2", "lenet"])
def test_a_convolutional_network_trains_and_loads(name, scans, tmp_path):
    card = train("scan", scans, tmp_path, epochs=2, architecture=name, about={"config": {"side": 32}})
    assert card.architecture == name
    load(card).warm_up()


@pytest.mark.parametrize("name", ["lstm128", "rnn"])
def test_a_recurrent_network_learns_what_rises(name, stays, tmp_path):
    card = train("lab", stays, tmp_path, epochs=6, architecture=name)
    assert card.quality["test"]["auroc"] > 0.9
    load(card).warm_up()


def test_a_network_of_another_kind_is_refused(stays, tmp_path):
    with pytest.raises(Refused, match="cnn3 is no lab network"):
        train("lab", stays, tmp_path, architecture="cnn3")
