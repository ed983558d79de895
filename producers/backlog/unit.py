"""What is dealt with at a time: one file of the manifest, and what was read out of it."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from db.places import Place
from stream.arrival import Arrival


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One row of the manifest. ``part``: that message or line alone; ``parts`` are dealt with already, up to byte ``position``."""

    id: int
    path: str
    member: str = ""
    part: int = 0
    size: int = 0
    parts: int = 0
    position: int = 0
    inputs: int = 0
    input_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One part of a file: an arrival, or why it is none. ``end``: the byte after it; ``number`` counts from 1.

    ``whole``: it is committed together with the others of its file, or none of them is.
    """

    number: int
    end: int
    arrival: Arrival | None = None
    place: Place | None = None
    reason: str = ""
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class Read:
    """What one step read of a unit.

    ``ended``: nothing is left of it. ``state`` and ``reason``: why the whole file is ``failed`` or ``refused``. ``several``: it
    is of a kind that holds many parts, each of which is refused by itself. ``inputs``: new ones that came another way.
    """

    unit: Unit
    pieces: Sequence[Piece] = ()
    ended: bool = True
    state: str = ""
    reason: str = ""
    several: bool = False
    inputs: int = 0


class Reads(Protocol):
    """What reads units: a pool of processes, or a PACS that sends what is asked for. ``most``: units at a time."""

    most: int
    ahead: int

    def submit(self, units: Sequence[Unit]) -> "Future[list[Read]]":
        """Begin to read; the future may raise Temporary, or BrokenProcessPool."""

    def read_singly(self, units: Sequence[Unit]) -> list[Read]:
        """After a process has died."""
