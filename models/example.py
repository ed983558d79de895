"""One labelled input, and how exact copies are kept together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from stream.judgement import Sample


@dataclass(frozen=True, kw_only=True)
class Example:
    """One labelled input. ``group``: what must stay on one side of a split (a patient); ``open``: reads the sample.

    ``label``: empty where it has none and needs none; ``labels``: every label that is true of it where a set may give several
    (``label`` then names them all), else None; ``target``: the text that a network is to write of it.
    """

    id: str
    label: str
    group: str
    open: Callable[[], Sample]
    labels: tuple[str, ...] | None = None
    target: str = ""


def join_groups(examples: Iterable[Example], same: Callable[[Example], str]) -> list[Example]:
    """The examples with the groups joined that hold the ``same`` content: exact copies never stand on both sides."""
    examples = list(examples)
    leader = {example.group: example.group for example in examples}
    first: dict[str, str] = {}

    def find(group: str) -> str:
        while leader[group] != group:
            group = leader[group]
        return group

    for example in examples:
        one, other = sorted((find(example.group), find(first.setdefault(same(example), example.group))))
        leader[other] = one
    return [replace(example, group=find(example.group)) for example in examples]
