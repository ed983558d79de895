"""Reads a ``torch.export`` file without torch's own loader, which unpickles and evaluates text: only JSON and numbers.

A .pt2 file is a zip: the graph as JSON, each tensor as raw bytes, a pickle of the example inputs (never opened), and pickles
in place of what has no raw form: an archive that needs one of those is refused.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.card import BadCard

#: An archive may unpack to so many bytes.
MOST_BYTES = 2 * 2**30
#: ``ScalarType`` of torch's export schema (torch/_export/serde/schema.py) → dtype.
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}


@dataclass(frozen=True, kw_only=True)
class Archive:
    """``graph`` and ``signature`` as the export schema has them; ``tensors``: weights, buffers and constants by name."""

    graph: Mapping[str, Any]
    signature: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def read_archive(path: Path) -> Archive:
    """The program in a .pt2 file; raises BadCard when it is none or needs something unpickled."""
    try:
        with zipfile.ZipFile(path) as opened:
            return _read(opened, path.name)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        raise BadCard(f"{path.name} is no file that torch.export.save wrote: {type(error).__name__}") from error


def _read(opened: zipfile.ZipFile, name: str) -> Archive:
    if sum(entry.file_size for entry in opened.infolist()) > MOST_BYTES:
        raise BadCard(f"{name} unpacks to more than {MOST_BYTES} bytes")
    parts = {entry.split("/", 1)[-1]: entry for entry in opened.namelist()}
    if "models/model.json" not in parts:
        raise BadCard(f"{name} holds no models/model.json: it was written by another version of torch, or is no such file")
    if any(part.startswith(("data/aotinductor", "executorch", "extra/")) for part in parts):
        raise BadCard(f"{name} holds compiled code or extra files, which are never taken")
    program = json.loads(opened.read(parts["models/model.json"]))["graph_module"]
    if program["graph"].get("custom_obj_values"):
        raise BadCard(f"{name} holds custom objects, which would have to be unpickled")
    tensors: dict[str, Tensor] = {}
    for kind, folder in (("weights", "data/weights/"), ("constants", "data/constants/")):
        listed = parts.get(f"{folder}model_{kind}_config.json")
        for key, about in json.loads(opened.read(listed))["config"].items() if listed else ():
            tensors[key] = _tensor(opened, parts, folder, key, about, name)
    return Archive(graph=program["graph"], signature=program["signature"], tensors=tensors)


def _tensor(
    opened: zipfile.ZipFile, parts: Mapping[str, str], folder: str, key: str, about: Mapping[str, Any], name: str
) -> Tensor:
    if about["use_pickle"] or not about.get("tensor_meta"):
        raise BadCard(f"{name}: {key} is stored as a pickle, which is never opened")
    meta = about["tensor_meta"]
    sizes, strides = ([int(one["as_int"]) for one in meta[which]] for which in ("sizes", "strides"))
    raw = bytearray(opened.read(parts[folder + about["path_name"]]))
    if not raw:
        return torch.empty(sizes, dtype=DTYPES[meta["dtype"]])
    flat = torch.frombuffer(raw, dtype=DTYPES[meta["dtype"]])
    return flat.as_strided(sizes, strides, int(meta["storage_offset"]["as_int"])).clone()
