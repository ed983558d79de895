"""Gradient boosted trees as tensors: grown in NumPy over binned features, judged in torch by gathers.

Each tree is complete to its depth; a place that is not split sends everything left. An absent value is NaN, which takes
the lowest bin and so always goes left.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Real = NDArray[np.floating[Any]]

#: Stands for an absent value: below every threshold.
ABSENT = -1e30
#: A threshold lies this far above the value that it was found at, so that rounding does not send that value elsewhere.
ABOVE = 1e-4


@dataclass(frozen=True, kw_only=True)
class Boosting:
    """``share``: of the features that one tree may split by, and of the examples that it is grown on: ``examples``."""

    trees: int = 400
    depth: int = 4
    rate: float = 0.03
    share: float = 0.2
    examples: float = 0.6
    least: float = 6.0
    ridge: float = 10.0
    bins: int = 48


class Trees(nn.Module):
    """``feature``, ``threshold``: (trees, 2^depth - 1), places breadth first; ``leaf``: (trees, 2^depth)."""

    feature: Tensor
    threshold: Tensor
    leaf: Tensor
    start: Tensor

    def __init__(self, trees: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.register_buffer("feature", torch.zeros(trees, 2**depth - 1, dtype=torch.int32))
        self.register_buffer("threshold", torch.full((trees, 2**depth - 1), torch.inf))
        self.register_buffer("leaf", torch.zeros(trees, 2**depth))
        self.register_buffer("start", torch.zeros(()))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, features), NaN where absent → (B,) logits."""
        columns = torch.nan_to_num(rows, nan=ABSENT).T  # (features, B)
        place = 1 + (columns[self.feature[:, 0]] > self.threshold[:, :1]).long()  # (trees, B): a root asks all rows the same
        for _ in range(self.depth - 1):
            value = columns.gather(0, self.feature.gather(1, place).long())
            place = 2 * place + 1 + (value > self.threshold.gather(1, place))
        leaves = self.leaf.gather(1, place - (2**self.depth - 1))
        return leaves.T.contiguous().sum(dim=1) + self.start  # a row's own numbers side by side: one order in any batch


def edges_of(rows: Real, bins: int) -> list[Real]:
    """Of each column the thresholds between its bins, from ABSENT on; a constant column has none."""
    shares = np.linspace(0.0, 1.0, bins)[:-1]
    found = []
    for column in rows.T:
        known = column[column > ABSENT]
        cuts = np.unique(np.quantile(known, shares, method="lower")) if len(known) else known
        here = np.concatenate([[ABSENT], cuts]) if (column == ABSENT).any() else cuts
        found.append(here[here < column.max()])
    return found


def grow(trees: Trees, rows: Real, truth: NDArray[np.int64], how: Boosting, seed: int) -> None:
    """Fills ``trees`` by boosting the log loss (Friedman 2001) of ``truth`` (n,) in {0, 1} over (n, features) ``rows``."""
    rng = np.random.default_rng(seed)
    rows = np.nan_to_num(rows.astype(np.float32), nan=ABSENT)
    edges = edges_of(rows, how.bins)
    binned = np.stack([np.searchsorted(cut, column) for cut, column in zip(edges, rows.T, strict=True)])  # (features, n)
    usable = np.flatnonzero([len(cut) > 0 for cut in edges])
    told = np.full(len(truth), np.log(truth.mean() / (1 - truth.mean())))
    trees.start.fill_(float(told[0]))
    for number in range(how.trees):
        chance = 1.0 / (1.0 + np.exp(-told))
        seen = rng.random(len(truth)) < how.examples
        slope, bend = (truth - chance) * seen, chance * (1 - chance) * seen
        columns = rng.choice(usable, max(int(how.share * len(usable)), 1), replace=False)
        feature, cut, leaf, place = grow_one(binned[columns], slope, bend, how)
        chosen = columns[feature]
        limits = [edges[one][at] + ABOVE if at < len(edges[one]) else np.inf for one, at in zip(chosen, cut, strict=True)]
        trees.feature[number] = torch.from_numpy(chosen.astype(np.int32))
        trees.threshold[number] = torch.tensor(np.array(limits, np.float32))
        trees.leaf[number] = torch.from_numpy(leaf.astype(np.float32))
        told += leaf[place]


def grow_one(
    binned: NDArray[np.int64], slope: Real, bend: Real, how: Boosting
) -> tuple[NDArray[np.int64], NDArray[np.int64], Real, NDArray[np.int64]]:
    """One tree over (features, n) bins: feature and cut of each inner place, leaves, the leaf of each example.

    Split by the gain of the second-order loss (Chen and Guestrin 2016, XGBoost, equation 7).
    """
    inner = 2**how.depth - 1
    feature, cut = np.zeros(inner, np.int64), np.full(inner, how.bins + 1)
    place = np.zeros(binned.shape[1], np.int64)
    for level in range(how.depth):
        first, width = 2**level - 1, 2**level
        best = best_splits(binned, place - first, width, slope, bend, how)
        feature[first : first + width], cut[first : first + width] = best
        right = binned[feature[place], np.arange(len(place))] > cut[place]
        place = 2 * place + 1 + right
    place -= inner
    sums = [np.bincount(place, weights=one, minlength=inner + 1) for one in (slope, bend)]
    return feature, cut, how.rate * sums[0] / (sums[1] + how.ridge), place


def best_splits(
    binned: NDArray[np.int64], node: NDArray[np.int64], width: int, slope: Real, bend: Real, how: Boosting
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each of ``width`` nodes the (feature, cut) with the greatest gain; a cut beyond all bins where there is none."""
    features, bins = len(binned), how.bins + 2
    cell = ((node * features)[None] + np.arange(features)[:, None]) * bins + binned  # (features, n)
    sums = []
    for one in (slope, bend):
        weights = np.broadcast_to(one, cell.shape).ravel()
        total = np.bincount(cell.ravel(), weights=weights, minlength=width * features * bins)
        sums.append(total.reshape(width, features, bins).cumsum(axis=2))
    (left, weight), (all_left, all_weight) = sums, [one[:, :, -1:] for one in sums]
    rest, rest_weight = all_left - left, all_weight - weight
    gain = left**2 / (weight + how.ridge) + rest**2 / (rest_weight + how.ridge) - all_left**2 / (all_weight + how.ridge)
    gain = np.where((weight >= how.least) & (rest_weight >= how.least), gain, 0.0).reshape(width, -1)
    best = gain.argmax(axis=1)
    found = gain[np.arange(width), best] > 0
    return np.where(found, best // bins, 0), np.where(found, best % bins, bins)
