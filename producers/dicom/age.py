"""A patient's age in years: completed years, and below 2 years a float, since months matter there."""

import re
from datetime import date

#: PatientAge (PS3.5, VR AS): three digits and the unit; how many of the unit are a year.
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_A_YEAR = {"D": 365.25, "W": 365.25 / 7, "M": 12.0, "Y": 1.0}

#: Below this, in years, the age is a float.
_FINE = 2
#: Nobody is older, in years: such an age is a mistake, and so unknown.
_OLDEST = 130


def age_at(born: date, on: date) -> float | None:
    """Age in years on a day; None when it cannot be."""
    years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    if not 0 <= years <= _OLDEST:
        return None
    if years >= _FINE:
        return years
    last, following = _birthday(born, born.year + years), _birthday(born, born.year + years + 1)
    return round(years + (on - last) / (following - last), 3)


def age_of(text: str) -> float | None:
    """Age in years from PatientAge (``018M``, ``005Y``); None when it is not one.

    ``000Y`` and ``000M`` stand where somebody knew nothing: a newborn's age is written in days.
    """
    found = _AGE.fullmatch(text.strip().upper())
    if found is None or (int(found[1]) == 0 and found[2] in "YM"):
        return None
    years = int(found[1]) / _A_YEAR[found[2]]
    if years > _OLDEST:
        return None
    return int(years) if years >= _FINE else round(years, 3)


def _birthday(born: date, year: int) -> date:
    """Who was born on 29 February has it on 1 March in other years."""
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)
