"""What a card's autoencoder says of each input in few numbers, and what a seq2seq card writes of it; as files."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.card import Card
from models.catalogue import load
from models.device import check_device
from models.example import Example
from models.examples import read_examples
from models.interface import Prepared
from models.model import Model
from models.seq2seq import SequenceModel
from stream.errors import Refused, Rejected


def embed(card: Card, data: Path, out: Path, device: str = "cpu") -> dict[str, Any]:
    """Writes the code of every readable input: ``.npz`` with ``id``, ``label``, ``features``, or a CSV of them.

    The code is the narrowest layer of the card's autoencoder; the label is empty where the input has none. Raises Refused when
    the card's network has no autoencoder or ``out`` is neither of the two.
    """
    if out.suffix not in (".npz", ".csv"):
        raise Refused("features are written as .npz or .csv", where=str(out))
    check_device(device)
    model = load(card, device)
    encode = getattr(model.autoencoder, "encode", None)
    if encode is None:
        raise Refused(f"{card.name} has no autoencoder to embed with")
    ids, labels, rows = [], [], list[NDArray[np.float32]]()
    for examples, batch in _batches(model, read_examples(card.kind, data, labelled=False)):
        with torch.inference_mode():
            told: Tensor = encode(model.features(model.expand(batch)))
        rows.extend(told.float().cpu().numpy())
        ids += [example.id for example in examples]
        labels += [example.label for example in examples]
    if not rows:
        raise Refused("none of the inputs can be read", where=str(data))
    features = np.stack(rows)
    if out.suffix == ".csv":
        names = [f"f{place}" for place in range(features.shape[1])]
        _write(out, ["id", "label", *names], [[*row] for row in zip(ids, labels, *features.T.tolist(), strict=True)])
    else:
        np.savez_compressed(out, id=np.array(ids), label=np.array(labels), features=features)
    return {"model": card.name, "model_digest": card.digest, "n": len(ids), "features": features.shape[1], "out": str(out)}


def decode(card: Card, data: Path, out: Path, device: str = "cpu") -> dict[str, Any]:
    """Writes what the card's network writes of every note as a CSV ``id,told,target``; raises Refused for another network."""
    check_device(device)
    model = load(card, device)
    if not isinstance(model, SequenceModel):
        raise Refused(f"{card.name} is a {card.architecture}, which writes nothing")
    rows = []
    for examples, batch in _batches(model, read_examples(card.kind, data, labelled=False)):
        with torch.inference_mode():
            told = model.tell(batch)
        rows += [[example.id, text, example.target] for example, text in zip(examples, told, strict=True)]
    _write(out, ["id", "told", "target"], rows)
    return {"model": card.name, "model_digest": card.digest, "n": len(rows), "out": str(out)}


def _batches(model: Model, examples: Sequence[Example]) -> Iterator[tuple[list[Example], list[Prepared]]]:
    """The readable examples with their arrays, one batch in memory at a time."""
    for start in range(0, len(examples), model.batch_size):
        read = []
        for example in examples[start : start + model.batch_size]:
            try:
                read.append((example, model.read(example.open())))
            except Rejected:
                continue
        if read:
            yield [example for example, _ in read], [prepared for _, prepared in read]


def _write(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
