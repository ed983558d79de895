"""Inputs on disk with their labels, read from the documented layouts. A layout that is not kept is Refused, with the place."""

from collections.abc import Iterable
from pathlib import Path

from models.example import Example
from models.note_files import read_notes
from models.scan_files import read_scans
from models.stay_files import read_stays
from stream.errors import Refused

READERS = {"scan": read_scans, "lab": read_stays, "note": read_notes}


def read_examples(kind: str, path: Path, *, labelled: bool = True) -> list[Example]:
    """Every input under ``path``, by id; raises Refused when there is none or the layout is not kept.

    ``labelled``: each must have its label; otherwise those that have none get an empty one.
    """
    if kind not in READERS:
        raise Refused(f"no kind of model is called {kind}: one of {', '.join(READERS)}")
    if not path.exists():
        raise Refused("there is nothing at this path", where=str(path))
    examples = sorted(READERS[kind](path, labelled=labelled), key=lambda example: example.id)
    if not examples:
        raise Refused(f"no {'labelled ' * labelled}{kind} in the documented layout", where=str(path))
    _check_labels(examples, path)
    return examples


def read_inputs(kind: str, path: Path, *, judges: bool) -> list[Example]:
    """As ``read_examples``; of a set without labels too where the network does not judge, so that it needs none."""
    try:
        return read_examples(kind, path)
    except Refused:
        if judges:
            raise
    return read_examples(kind, path, labelled=False)


def _check_labels(examples: Iterable[Example], path: Path) -> None:
    """Raises Refused for two labels that differ in nothing but case: nobody means two classes by them."""
    known: dict[str, str] = {}
    for label in sorted({name for one in examples for name in ((one.label,) if one.labels is None else one.labels)}):
        other = known.setdefault(label.casefold(), label)
        if other != label:
            raise Refused(f"labels {other} and {label} differ only in case", where=str(path))
