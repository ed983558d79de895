"""Runs the graph of a ``torch.export`` file, node by node: operators of ``aten`` by an allow-list of shapes, nothing else.

No text of the file is ever evaluated: a node's operator is looked up in torch's own table, its arguments are numbers,
tensors computed before, and a few known words.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.card import BadCard
from models.foreign_archive import Archive
from models.foreign_arguments import read_argument, value_of

#: Arithmetic on sizes.
SIZES = {
    f"_operator.{name}": getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "eq", "ne", "lt", "le", "gt", "ge")
}
#: Operators that reach files or swap what lies behind a tensor.
NEVER = frozenset(("from_file", "save", "load", "set", "set_", "set_data", "resize_", "resize_as_", "swap", "detach_"))
#: Private operators that exporting leaves in a graph.
PRIVATE = frozenset(
    (
        "_native_batch_norm_legit_no_training", "_softmax", "_log_softmax", "_to_copy", "_unsafe_view", "_adaptive_avg_pool2d",
        "_scaled_dot_product_flash_attention_for_cpu", "_assert_tensor_metadata",
    )
)  # fmt: skip


class GraphNetwork(nn.Module):
    """An exported program as a network. ``widths``: of each input, the number of examples it was exported for; 0: any."""

    def __init__(self, archive: Archive, name: str) -> None:
        super().__init__()
        self.name = name
        self._inputs: list[str] = []
        self._held: dict[str, str] = {}
        self._take_signature(archive)
        self.widths = [_width(archive.graph["tensor_values"][one]) for one in self._inputs]
        self._steps = [self._step(node) for node in archive.graph["nodes"]]
        (told,) = archive.graph["outputs"]
        self._output = str(told["as_tensor"]["name"])

    def _take_signature(self, archive: Archive) -> None:
        for spec in archive.signature["input_specs"]:
            ((kind, about),) = spec.items()
            if kind == "user_input":
                self._inputs.append(str(about["arg"]["as_tensor"]["name"]))
            elif kind in ("parameter", "buffer", "tensor_constant"):
                named = f"{kind}_{len(self._held)}"
                self._held[str(about["arg"]["name"])] = named
                self.register_buffer(named, archive.tensors[about[f"{kind}_name"]])
            else:
                raise BadCard(f"{self.name} needs an input of the kind {kind}, which is not taken")
        if any("user_output" not in spec for spec in archive.signature["output_specs"]):
            raise BadCard(f"{self.name} changes its own weights when it runs, which is not taken")

    def _step(self, node: Mapping[str, Any]) -> tuple[Any, list[Any], dict[str, Any], list[str]]:
        """(operator, positional arguments, named arguments, names of the results), arguments still by name."""
        target = str(node["target"])
        run = SIZES[target] if target in SIZES else self._operator(target)
        listed = [(one["name"], one.get("kind"), read_argument(one["arg"], self.name)) for one in node["inputs"]]
        if target.split(".")[3:4] and target.split(".")[3].endswith("_") and getattr(listed[0][2], "name", "") in self._held:
            raise BadCard(f"{self.name} changes its own weights when it runs, which is not taken")
        schema = getattr(run, "_schema", None)
        only_named = {one.name for one in schema.arguments if one.kwarg_only} if schema else set()
        positional = [value for key, kind, value in listed if kind != 2 and key not in only_named]
        named = {key: value for key, kind, value in listed if kind == 2 or key in only_named}
        return run, positional, named, [name for one in node["outputs"] for name in _results(one)]

    def _operator(self, target: str) -> Any:
        parts = target.split(".")
        if len(parts) != 5 or parts[:3] != ["torch", "ops", "aten"] or not all(part.isidentifier() for part in parts[3:]):
            raise BadCard(f"{self.name} calls {target[:60]}, which is no operator of aten")
        _, _, _, name, overload = parts
        if name in NEVER or (name.startswith("_") and name not in PRIVATE):
            raise BadCard(f"{self.name} calls {target[:60]}, which is not allowed")
        packet = getattr(torch.ops.aten, name, None)
        if packet is None or overload not in packet.overloads():
            raise BadCard(f"{self.name} calls {target[:60]}, which this torch does not have")
        return getattr(packet, overload)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The program's one output."""
        known: dict[str, Any] = {name: getattr(self, held) for name, held in self._held.items()}
        known.update(zip(self._inputs, inputs, strict=True))
        device = inputs[0].device
        for run, positional, named, results in self._steps:
            told = run(
                *[value_of(one, known, device) for one in positional],
                **{key: value_of(one, known, device) for key, one in named.items()},
            )
            known.update(zip(results, told if len(results) > 1 else (told,), strict=False))
        return torch.as_tensor(known[self._output])


def _results(given: Mapping[str, Any]) -> Sequence[str]:
    ((kind, value),) = given.items()
    if kind == "as_tensors":
        return [str(one["name"]) for one in value]
    return [str(value.get("name", value.get("as_name")))] if isinstance(value, dict) else ["_"]


def _width(meta: Mapping[str, Any]) -> int:
    first = meta["sizes"][0]
    return int(first["as_int"]) if "as_int" in first else 0
