"""Writes a trained model as a card's folder: weights as safetensors, then the card that pins them."""

from dataclasses import replace
from pathlib import Path

from safetensors.torch import save

from models.card import (
    AUTOENCODER_FILE,
    CARD_FILE,
    VOCABULARY_FILE,
    WEIGHTS_FILE,
    Card,
    encode_card,
    file_digest,
    read_card,
)
from models.model import Model


def write_weights(model: Model, out: Path) -> None:
    """Writes both networks' weights into ``out``."""
    for network, name in ((model.network, WEIGHTS_FILE), (model.autoencoder, AUTOENCODER_FILE)):
        tensors = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
        (out / name).write_bytes(save(tensors))


def write_card(model: Model, out: Path) -> Card:
    """Writes the card with its golden case and the digests of its files, and reads it back."""
    names = [name for name in (WEIGHTS_FILE, AUTOENCODER_FILE, VOCABULARY_FILE) if (out / name).is_file()]
    pinned = {name: file_digest(out / name) for name in names}
    card = replace(model.card, golden=model.golden(), files=pinned)
    (out / CARD_FILE).write_bytes(encode_card(card))
    return read_card(out)
