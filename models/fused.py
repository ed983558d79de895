"""Batch normalisation folded into the convolution before it: the same function with fewer passes over the pictures."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Pair = tuple[str, str]


def has_norms(network: nn.Module) -> bool:
    """Whether there is anything that could be folded."""
    return any(isinstance(part, nn.BatchNorm2d) for part in network.modules())


def fuse(network: nn.Module, inputs: tuple[Any, ...]) -> nn.Module | None:
    """A copy with every convolution and the norm that reads just its output made one; None where there is no such pair.

    The pairs are seen while the network runs once, so that it need not be written in any particular way.
    """
    pairs = _pairs(network, inputs)
    if not pairs:
        return None
    fused = copy.deepcopy(network)
    for convolution, norm in pairs:
        one, other = fused.get_submodule(convolution), fused.get_submodule(norm)
        _put(fused, convolution, fuse_conv_bn_eval(one, other))  # type: ignore[type-var,arg-type]
        _put(fused, norm, nn.Identity())
    return fused.eval()


def _pairs(network: nn.Module, inputs: tuple[Any, ...]) -> list[Pair]:
    came_from: dict[int, str] = {}
    kept: list[Tensor] = []  # so that no two outputs get one id
    pairs: list[Pair] = []
    names = {part: name for name, part in network.named_modules()}

    def after(part: nn.Module, given: Any, told: Any) -> None:
        if isinstance(part, nn.Conv2d):
            kept.append(told)
            came_from[id(told)] = names[part]
        elif id(given[0]) in came_from:
            pairs.append((came_from[id(given[0])], names[part]))

    parts = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.BatchNorm2d)]
    hooks = [part.register_forward_hook(after) for part in parts]
    try:
        with torch.inference_mode():
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return pairs


def _put(network: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, part)
