"""95 % intervals by drawing patients with replacement: all inputs of a patient are drawn together. NumPy only."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Draws for one set of intervals.
DRAWS = 500
#: An interval's ends, as shares of the draws (percentile bootstrap, Efron 1979).
ENDS = (0.025, 0.975)
#: Below this many groups an interval would say more than is known.
LEAST_GROUPS = 10


def draws_of(groups: Sequence[str], draws: int, seed: int = 0) -> Iterable[NDArray[np.intp]]:
    """``draws`` times the places of the inputs of as many groups as there are, drawn with replacement."""
    _, which = np.unique(np.asarray(groups), return_inverse=True)
    order = np.argsort(which, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(which))[:-1])
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.concatenate([members[place] for place in rng.integers(0, len(members), len(members))])


def intervals(
    measure: Callable[[NDArray[np.intp]], Mapping[str, Any]], groups: Sequence[str], draws: int | None = None
) -> dict[str, list[float]]:
    """``{figure: [low, high]}`` of every number that ``measure`` gives for the inputs at some places.

    Draws in which a figure is not defined are left out of its interval; empty below LEAST_GROUPS.
    """
    if len(set(groups)) < LEAST_GROUPS:
        return {}
    told: dict[str, list[float]] = {}
    for places in draws_of(groups, DRAWS if draws is None else draws):
        for name, value in measure(places).items():
            if isinstance(value, float):
                told.setdefault(name, []).append(value)
    return {name: [float(end) for end in np.quantile(values, ENDS)] for name, values in told.items()}
