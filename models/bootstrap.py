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
) -> dict[str, Any]:
    """``{figure: [low, high]}`` of every number that ``measure`` gives for the inputs at some places, nested as it nests them.

    Draws in which a figure is not defined are left out of its interval; empty below LEAST_GROUPS.
    """
    if len(set(groups)) < LEAST_GROUPS:
        return {}
    told: dict[tuple[str, ...], list[float]] = {}
    for places in draws_of(groups, DRAWS if draws is None else draws):
        for path, value in numbers(measure(places)):
            told.setdefault(path, []).append(value)
    found: dict[str, Any] = {}
    for path, values in told.items():
        inner = found
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = [float(end) for end in np.quantile(values, ENDS)]
    return found


def numbers(told: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], float]]:
    """(names from the outside inward, value) of every float."""
    for name, value in told.items():
        if isinstance(value, Mapping):
            yield from numbers(value, (*path, name))
        elif isinstance(value, float):
            yield (*path, name), value
