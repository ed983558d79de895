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


def test_running_means_of_frozen_layers_stay(scans, scan_card, tmp_path):
    card = train("scan", scans, tmp_path, epochs=1, about={"config": dict(scan_card.config)}, init=scan_card, freeze=True)
    before, after = weights(scan_card), weights(card)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items() if "running" in name)


def test_fine_tuned_weights_all_move_and_start_better_than_fresh_ones(scans, scan_card, tmp_path):
    about = {"config": dict(scan_card.config)}
    tuned = train("scan", scans, tmp_path / "tuned", epochs=1, about=about, init=scan_card)
    fresh = train("scan", scans, tmp_path / "fresh", epochs=1, about=about)
    assert not torch.equal(weights(scan_card)["stem.0.weight"], weights(tuned)["stem.0.weight"])
    assert tuned.training["validation_loss"] < fresh.training["validation_loss"]


def test_a_textbook_network_is_taken_over_to_other_labels(notes, tmp_path):
    small = {"config": {"most_tokens": 40, "embedding": 8, "hidden": 8, "dense": 8}}
    origin = train("note", notes, tmp_path / "origin", epochs=1, architecture="embed-lstm", about=small)
    other = tmp_path / "notes.csv"
    other.write_text(notes.read_text().replace(",bone,", ",other,").replace(",heart,", ",other,"))
    card = train("note", other, tmp_path / "other", epochs=1, architecture="embed-lstm", about=small, init=origin, freeze=True)
    assert card.labels != origin.labels
    assert torch.equal(weights(origin)["dense.0.weight"], weights(card)["dense.0.weight"])


def test_there_is_nothing_to_freeze_without_a_card_to_start_from(stays, tmp_path):
    with pytest.raises(Refused, match="without a card"):
        train("lab", stays, tmp_path, freeze=True)


def test_a_network_without_a_last_layer_is_not_frozen_whole(stays, tmp_path):
    origin = train("lab", stays, tmp_path / "a", epochs=1, architecture="autoencoder")
    with pytest.raises(Refused, match="nothing would be left"):
        train("lab", stays, tmp_path / "b", epochs=1, architecture="autoencoder", init=origin, freeze=True)
