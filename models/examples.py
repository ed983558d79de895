"""Labelled inputs on disk, read from the documented layouts. A layout that is not kept is Refused, with the place."""

from pathlib import Path

from models.example import Example
from models.note_files import read_notes
from models.scan_files import read_scans
from models.stay_files import read_stays
from stream.errors import Refused

READERS = {"scan": read_scans, "lab": read_stays, "note": read_notes}


def read_examples(kind: str, path: Path) -> list[Example]:
    """Every labelled input under ``path``, by id; raises Refused when there is none or the layout is not kept."""
    if kind not in READERS:
        raise Refused(f"no kind of model is called {kind}: one of {', '.join(READERS)}")
    if not path.exists():
        raise Refused("there is nothing at this path", where=str(path))
    examples = sorted(READERS[kind](path), key=lambda example: example.id)
    if not examples:
        raise Refused(f"no labelled {kind} in the documented layout", where=str(path))
    return examples
