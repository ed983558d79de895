"""Training may start from a card's weights, and leave them as they are but for the last layer."""

import pytest
import torch
from safetensors.torch import load_file

from models.card import WEIGHTS_FILE
from models.train import train
from stream.errors import Refused


def weights(card):
    return load_file(card.folder / WEIGHTS_FILE)


def test_frozen_weights_stay_and_the_last_layer_learns(stays, lab_card, tmp_path):
    card = train("lab", stays, tmp_path, epochs=1, about={"config": dict(lab_card.config)}, init=lab_card, freeze=True)
    before, after = weights(lab_card), weights(card)
    for name, tensor in before.items():
        if not name.startswith("trees."):
            assert torch.equal(tensor, after[name]) != name.startswith("head."), name


def test_word_vectors_are_taken_word_by_word(notes, note_card, tmp_path):
    card = train("note", notes, tmp_path, epochs=1, about={"config": dict(note_card.config)}, init=note_card, freeze=True)
    assert torch.equal(weights(note_card)["embedding.weight"][1:], weights(card)["embedding.weight"][1:])


def test_another_architecture_is_refused(stays, note_card, tmp_path):
    with pytest.raises(Refused, match="bilstm-attention"):
        train("lab", stays, tmp_path, epochs=1, init=note_card)


def test_weights_of_another_shape_are_refused(scans, scan_card, tmp_path):
    about = {"config": {"side": 32, "stem": 6, "channels": [6, 12], "blocks": 1}}
    with pytest.raises(Refused, match="do not fit"):
        train("scan", scans, tmp_path, epochs=1, about=about, init=scan_card)
