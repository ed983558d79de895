"""Textbook networks train by the same command and make cards like any other."""

import pytest
from torch import nn

from models.catalogue import ARCHITECTURES, load
from models.recipe import TEXTBOOK
from models.textbook import SCANS, Convolutions, TextbookScanConfig
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


def test_word_vectors_with_an_lstm_learn_the_words(notes, tmp_path):
    about = {"config": {"most_tokens": 60, "embedding": 16, "hidden": 16, "dense": 16}}
    card = train("note", notes, tmp_path, epochs=25, architecture="embed-lstm", about=about)
    assert card.quality["test"]["accuracy"] > 0.8
    load(card).warm_up()


@pytest.mark.parametrize(("name", "first", "last"), [("cnn3", 41472, 1024), ("cnn2", 3136, 3136), ("lenet", 400, 84)])
def test_the_shapes_are_those_of_the_book(name, first, last):
    network = Convolutions(SCANS[name], TextbookScanConfig.of(name, {}), 2)
    dense = [layer for layer in [*network.body, network.head] if isinstance(layer, nn.Linear)]
    assert (dense[0].in_features, network.head.in_features) == (first, last)


def test_the_optimiser_is_the_one_that_is_taught(scans, tmp_path):
    told = [
        train("scan", scans, tmp_path / name, epochs=1, architecture=name, about={"config": {"side": 32}}).training
        for name in ("lenet", "cnn2")
    ]
    assert [(one["optimiser"], one["learning_rate"]) for one in told] == [("sgd", 0.001), ("adam", 0.001)]


def test_every_network_of_the_textbook_has_a_name():
    names = {"cnn3", "cnn2", "lenet", "lstm128", "rnn", "embed-lstm", "autoencoder", "seq2seq"}
    assert {name for kind in TEXTBOOK.values() for name in kind} == names
    assert names <= set(ARCHITECTURES)


def test_a_network_of_another_kind_is_refused(stays, tmp_path):
    with pytest.raises(Refused, match="cnn3 is no lab network"):
        train("lab", stays, tmp_path, architecture="cnn3")
