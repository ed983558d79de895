"""Monte Carlo dropout: a network's last layers judge many times, each time with other units left out (Gal and Ghahramani 2016).

The masks are drawn once, from a fixed seed on the processor: every input is seen through the same ones, so that what is said of
it depends neither on its batch nor on the device. All passes are one forward pass with a batch for each mask; what stands
before the last layers is computed once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn

from models.card import BadCard


class LastDropout(nn.Dropout):
    """Dropout over (B, wide) rows in a network's last layers; within ``sampling`` it gives (1 + passes, B, wide)."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        self.passes = 0
        self.place = 0

    def forward(self, rows: Tensor) -> Tensor:
        """(B, wide) or, behind another such layer, (1 + passes, B, wide); in the first pass nothing is left out."""
        if not self.passes:
            return super().forward(rows)
        return rows * masks(self.place, self.passes, rows.shape[-1], self.p).to(rows.device)


@lru_cache
def masks(place: int, passes: int, wide: int, share: float) -> Tensor:
    """(1 + passes, 1, wide): ones, then what each pass multiplies its units by, 0 for a ``share`` of them."""
    generator = torch.Generator().manual_seed(place)
    kept = torch.rand(passes, 1, wide, generator=generator) >= share
    return torch.cat([torch.ones(1, 1, wide), kept / (1.0 - share)])


def last_dropouts(network: nn.Module) -> list[LastDropout]:
    """The network's layers that can go on leaving units out; empty for most of the textbook's and those of other engines."""
    return [part for part in network.modules() if isinstance(part, LastDropout) and part.p > 0]


@contextmanager
def sampling(network: nn.Module, passes: int) -> Iterator[None]:
    """Within, ``network`` gives (1 + passes, B, labels) logits, those without dropout first; raises BadCard where it cannot."""
    layers = last_dropouts(network)
    if not layers:
        raise BadCard("the network has no dropout in its last layers, so that no uncertainty can be drawn from it")
    for place, layer in enumerate(layers):
        layer.passes, layer.place = passes, place
    try:
        yield
    finally:
        for layer in layers:
            layer.passes = 0
