"""The labels in a CSV's row: one (``label``), several (``labels``, between semicolons), or a column of 0 and 1 for each."""

from collections.abc import Iterable, Mapping, Sequence

from models.groups import CARE_UNIT
from stream.errors import Refused
from stream.facts import AGE_YEARS, SEX

ONE, SEVERAL, BETWEEN = "label", "labels", ";"
#: Columns that are never a label.
OTHERS = frozenset({"id", "path", "text", "summary", "patient", "group", AGE_YEARS, SEX, CARE_UNIT})
#: Columns of what is known of the patient, for figures by group.
FACTS = (AGE_YEARS, SEX, CARE_UNIT)


def label_columns(columns: Iterable[str], where: str) -> tuple[str, ...]:
    """``label``, ``labels`` or every column that is none of OTHERS; raises Refused when there is none of them."""
    names = tuple(columns)
    for name in (ONE, SEVERAL):
        if name in names:
            return (name,)
    found = tuple(name for name in names if name not in OTHERS)
    if len(found) < 2:
        raise Refused("no column label, labels or several columns of 0 and 1", where=where)
    return found


def labels_of(row: Mapping[str, str], columns: Sequence[str], where: str) -> tuple[str, tuple[str, ...] | None]:
    """(label, labels) of one row; ``labels`` is None where each input has exactly one label."""
    if columns == (ONE,):
        return row[ONE], None
    if columns == (SEVERAL,):
        found = sorted({one.strip() for one in row[SEVERAL].split(BETWEEN)} - {""})
    else:
        odd = [name for name in columns if row[name] not in ("0", "1")]
        if odd:
            raise Refused(f"column {odd[0]} holds something other than 0 and 1", where=where)
        found = sorted(name for name in columns if row[name] == "1")
    return f"{BETWEEN} ".join(found), tuple(found)


def facts_of(row: Mapping[str, str], where: str) -> dict[str, float | str]:
    """Age, sex and care unit where the row has them; raises Refused when the age is no number."""
    found: dict[str, float | str] = {name: row[name] for name in (SEX, CARE_UNIT) if row.get(name)}
    if row.get(AGE_YEARS):
        try:
            found[AGE_YEARS] = float(row[AGE_YEARS])
        except ValueError as error:
            raise Refused("age_years holds something other than a number", where=where) from error
    return found
