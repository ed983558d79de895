"""Trees are grown and judged alike, and learn what no line can."""

import numpy as np
import torch

from models.metrics import auroc
from models.trees import Boosting, Trees, grow

HOW = Boosting(trees=60, depth=3, rate=0.1, share=1.0)


def rows(seed, n=600):
    """Ill when exactly one of two numbers is positive; a third of one column is absent."""
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n, 3)).astype(np.float32)
    truth = ((table[:, 0] > 0) ^ (table[:, 1] > 0)).astype(np.int64)
    table[rng.random(n) < 0.3, 2] = np.nan
    return table, truth


def test_an_exclusive_or_is_learnt():
    trees, (table, truth) = Trees(60, 3), rows(0)
    grow(trees, table, truth, HOW, seed=0)
    fresh, wanted = rows(1)
    assert auroc(wanted == 1, trees(torch.from_numpy(fresh)).numpy()) > 0.95


def test_what_is_absent_can_decide():
    table, _ = rows(0)
    truth = np.isnan(table[:, 2]).astype(np.int64)
    trees = Trees(60, 3)
    grow(trees, table, truth, HOW, seed=0)
    assert auroc(truth == 1, trees(torch.from_numpy(table)).numpy()) > 0.999


def test_the_same_seed_grows_the_same_trees():
    one, two = Trees(60, 3), Trees(60, 3)
    for trees in (one, two):
        grow(trees, *rows(0), HOW, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_trees_that_never_grew_say_nothing():
    assert Trees(5, 2)(torch.zeros(3, 4)).tolist() == [0.0, 0.0, 0.0]
