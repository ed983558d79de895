"""Makes a folder with a hand-written card.json a card: pins its files, asks the model for its golden case, writes both down."""

import zipfile
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from models.card import CARD_FILE, MODEL_FILES, WEIGHTS_FILE, BadCard, Card, encode_card, file_digest, read_card
from models.catalogue import load


def pin(folder: Path) -> Card:
    """Writes the digests of the folder's files and the golden case into its card.json; raises BadCard when it does not load."""
    card = read_card(folder)
    files = {name: file_digest(folder / name) for name in MODEL_FILES if (folder / name).is_file()}
    card = replace(card, files=files, golden={})
    model = load(card)
    golden = model.golden()
    if len(golden["probabilities"]) != len(card.labels):
        raise BadCard(f"{card.name} names {len(card.labels)} labels, its network gives {len(golden['probabilities'])} numbers")
    (folder / CARD_FILE).write_bytes(encode_card(replace(card, golden=golden)))
    return read_card(folder)


def take_weights(file: Path, folder: Path) -> int:
    """Copies the tensors of a bundle's ``models/model.pt`` (or safetensors) into the folder; how many there were.

    Only tensors are read (``weights_only``): a file that would run code when unpickled is refused, and nothing else of the
    bundle is opened.
    """
    try:
        tensors = load_file(file) if file.suffix == ".safetensors" else _tensors(file)
    except SafetensorError as error:
        raise BadCard(f"{file.name} is no safetensors file") from error
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(save(tensors))
    return len(tensors)


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        told = torch.load(file, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise BadCard(f"{file.name} holds more than tensors, or none: it is not opened any further") from error
    for key in ("state_dict", "model"):
        if isinstance(told, dict) and isinstance(told.get(key), dict):
            told = told[key]
    if not isinstance(told, dict) or not told or not all(isinstance(one, Tensor) for one in told.values()):
        raise BadCard(f"{file.name} is no dictionary of tensors by name")
    return {str(name).removeprefix("module."): one.contiguous().clone() for name, one in told.items()}
