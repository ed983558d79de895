"""Arguments of a node in an exported graph: plain numbers, a few known words, and names of what was computed before."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from models.card import BadCard
from models.foreign_archive import DTYPES

#: The only words that an operator may be told: modes of padding, rounding, gelu, interpolation.
WORDS = frozenset(
    ("none", "tanh", "floor", "trunc", "constant", "reflect", "replicate", "circular", "same", "valid", "nearest", "bilinear")
)
_LAYOUTS = {1: torch.contiguous_format, 2: torch.channels_last, 4: torch.preserve_format}


class Named:
    """A value computed before, by its name."""

    def __init__(self, name: str) -> None:
        self.name = str(name)


class Here:
    """The device that the network runs on, whatever device it was exported on."""


def _symbol(value: Mapping[str, Any]) -> Any:
    return Named(value["as_name"]) if "as_name" in value else next(iter(value.values()))


def _optional(value: Mapping[str, Any]) -> Named | None:
    return Named(value["as_tensor"]["name"]) if "as_tensor" in value else None


def _plain(value: Any) -> Any:
    return value


#: Kind of argument in torch's export schema → what becomes of it. Graphs, custom objects and operators are not among them.
_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "as_none": lambda _: None,
    "as_tensor": lambda value: Named(value["name"]),
    "as_tensors": lambda value: [Named(one["name"]) for one in value],
    "as_optional_tensor": _optional,
    "as_optional_tensors": lambda value: [_optional(one) for one in value],
    **dict.fromkeys(("as_sym_int", "as_sym_bool", "as_sym_float"), _symbol),
    **dict.fromkeys(("as_sym_ints", "as_sym_bools", "as_sym_floats"), lambda value: [_symbol(one) for one in value]),
    **dict.fromkeys(("as_int", "as_float", "as_bool", "as_ints", "as_floats", "as_bools"), _plain),
    "as_scalar_type": lambda value: DTYPES[value],
    "as_memory_format": lambda value: _LAYOUTS[value],
    "as_layout": lambda _: torch.strided,
    "as_device": lambda _: Here(),
}


def read_argument(given: Mapping[str, Any], file: str) -> Any:
    """A plain value, Named, Here or a list of them; raises BadCard for what is not taken."""
    ((kind, value),) = given.items()
    if kind == "as_string" and value in WORDS:
        return value
    if kind not in _KINDS:
        raise BadCard(f"{file} uses an argument of the kind {kind[:40]}, which is not taken")
    return _KINDS[kind](value)


def value_of(given: Any, known: Mapping[str, Any], device: torch.device) -> Any:
    """What an argument stands for while the graph runs."""
    if isinstance(given, Named):
        return known[given.name]
    if isinstance(given, Here):
        return device
    return [value_of(one, known, device) for one in given] if isinstance(given, list) else given
