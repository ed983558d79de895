"""What the simulated hospital holds: a case, and each thing of it that goes over the wire."""

from dataclasses import dataclass

import numpy as np

#: One case in so many is odd on purpose.
ODD_EVERY = 10

SCAN, STAY, NOTE = "scan", "stay", "note"
DICOM, HL7, FHIR = "dicom", "hl7", "fhir"


@dataclass(frozen=True, kw_only=True)
class Sending:
    """One thing that goes over the wire.

    ``protocol``: DICOM, HL7 or FHIR. ``sender_id``: what the sender calls it (SOP Instance UID, MSH-10,
    ``DocumentReference/<id>``). ``content``: a DICOM file, a message without its frame, or JSON.
    """

    protocol: str
    sender_id: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Case:
    """One scan, stay or note. The same thing sent twice stands in ``sendings`` twice.

    ``expected``: ``predicted``, ``rejected``, ``unmatched`` or ``no event``. ``note``: what is odd about it and what is
    expected of it, in words; empty for an ordinary case.
    """

    kind: str
    sendings: tuple[Sending, ...]
    expected: str = "predicted"
    note: str = ""


@dataclass(frozen=True)
class Oddity:
    """One way to be odd; ``note`` says what is odd, ``expected`` what becomes of it."""

    name: str
    expected: str
    note: str


def oddity_at(index: int, oddities: tuple[Oddity, ...]) -> Oddity | None:
    """Which way the case at ``index`` is odd, all ways in turn; None for nine in ten."""
    turn, place = divmod(index, ODD_EVERY)
    return oddities[turn % len(oddities)] if place == ODD_EVERY // 2 else None


def chance(seed: int, kind: str, index: int) -> np.random.Generator:
    """The generator of one case, so that each case is the same whatever was drawn before it."""
    return np.random.default_rng([seed, (SCAN, STAY, NOTE).index(kind), index])


def digits(rng: np.random.Generator, count: int) -> str:
    """A made-up number of so many digits, the first of them not 0."""
    return str(rng.integers(10 ** (count - 1), 10**count))
