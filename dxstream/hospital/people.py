"""Invented people: nobody has such a name, and every number is drawn by chance."""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from dxstream.hospital.cases import digits

FAMILY = ("Testwell", "Samplewood", "Mockridge", "Dummerton", "Fakenham", "Placeholder", "Nobodison", "Exampleby")
GIVEN = ("Amberlina", "Boxwin", "Cloudette", "Dotwell", "Emberlo", "Fennimock", "Gritta", "Hexalind")
AUTHORITY = "SIMHOSP"


@dataclass(frozen=True, kw_only=True)
class Person:
    """``sex``: F or M; ``number``: given out by AUTHORITY."""

    family: str
    given: str
    number: str
    sex: str
    born: date


def invent(rng: np.random.Generator, years: int, at: datetime) -> Person:
    """Somebody who has completed ``years`` years at the moment ``at``, their birthday at least a week away from it."""
    birthday = date(at.year - years, at.month, min(at.day, 28)).toordinal() - int(rng.integers(7, 358))
    return Person(
        family=str(rng.choice(FAMILY)),
        given=str(rng.choice(GIVEN)),
        number=digits(rng, 9),
        sex=str(rng.choice(("F", "M"))),
        born=date.fromordinal(birthday),
    )
