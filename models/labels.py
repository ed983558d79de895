"""What a row of a labelled set says beside its input: its labels, whose it is, and what is known of the patient.

Labels: one (``label``), several (``labels``, between semicolons), or a column of 0 and 1 for each.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from models.groups import CARE_UNIT
from stream.errors import Refused
from stream.facts import AGE_YEARS, SEX

ONE, SEVERAL, BETWEEN = "label", "labels", ";"
#: Columns that are never a label.
OTHERS = frozenset({"id", "path", "text", "summary", "patient", "group", AGE_YEARS, SEX, CARE_UNIT})
#: Columns that name what must stay on one side of a split, the first that has something in it counts.
GROUPS = ("group", "patient")
#: Ways to write a sex → the fact; DICOM's and HL7's letters too.
SEXES = {"female": "female", "f": "female", "male": "male", "m": "male", "other": "other", "o": "other"}
UNKNOWN_SEXES = frozenset({"", "u", "unknown"})


def label_columns(columns: Iterable[str], where: str, *, labelled: bool = True) -> tuple[str, ...]:
    """``label``, ``labels`` or every column that is none of OTHERS; raises Refused when there is none of them.

    Not ``labelled``: ``label`` or ``labels`` where there is one, else nothing.
    """
    names = tuple(columns)
    for name in (ONE, SEVERAL):
        if name in names:
            return (name,)
    if not labelled:
        return ()
    found = tuple(name for name in names if name and name not in OTHERS)
    if len(found) < 2:
        raise Refused("no column label, labels or several columns of 0 and 1", where=where)
    return found


def labels_of(
    row: Mapping[str, str], columns: Sequence[str], where: str, *, labelled: bool = True
) -> tuple[str, tuple[str, ...] | None]:
    """(label, labels) of one row; ``labels`` is None where each input has exactly one label.

    Raises Refused for a column of 0 and 1 that holds something else and, where all have to be ``labelled``, an empty ``label``.
    """
    if columns in ((), (ONE,)):
        label = row[ONE].strip() if columns else ""
        if labelled and not label:
            raise Refused(f"column {ONE} is empty", where=where)
        return label, None
    if columns == (SEVERAL,):
        found = sorted({one.strip() for one in row[SEVERAL].split(BETWEEN)} - {""})
    else:
        odd = [name for name in columns if row[name].strip() not in ("0", "1")]
        if odd:
            raise Refused(f"column {odd[0]} holds something other than 0 and 1", where=where)
        found = sorted(name for name in columns if row[name].strip() == "1")
    return f"{BETWEEN} ".join(found), tuple(found)


def group_of(row: Mapping[str, str]) -> str:
    """Whose the input is, empty where the row does not say."""
    return next((found for name in GROUPS if (found := row.get(name, "").strip())), "")


def facts_of(row: Mapping[str, str], where: str) -> dict[str, float | str]:
    """Age, sex and care unit where the row has them; raises Refused for an age or a sex that is none."""
    age, sex, unit = (row.get(name, "").strip() for name in (AGE_YEARS, SEX, CARE_UNIT))
    found: dict[str, float | str] = {}
    if sex.casefold() not in UNKNOWN_SEXES:
        if sex.casefold() not in SEXES:
            raise Refused(f"sex is none of {', '.join(SEXES)}, unknown", where=where)
        found[SEX] = SEXES[sex.casefold()]
    if unit:
        found[CARE_UNIT] = unit
    if age:
        found[AGE_YEARS] = _years(age, where)
    return found


def _years(written: str, where: str) -> float:
    try:
        years = float(written)
    except ValueError:
        years = math.nan
    if not 0 <= years < math.inf:
        raise Refused("age_years holds something other than a number of years", where=where)
    return years
