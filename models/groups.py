"""The groups of patients that figures are given for beside the whole: sex, age band and care unit, where they are known."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from stream.facts import AGE_YEARS, SEX

#: A fact of labelled sets alone: where the patient lay, in the set's own words.
CARE_UNIT = "care_unit"
#: Lower ends of the age bands, in completed years.
AGES = (0, 1, 6, 16, 45, 65, 80)


def groups_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The groups that one input belongs to, in words; none where nothing is known."""
    found = [f"sex {facts[SEX]}"] if facts.get(SEX) else []
    if facts.get(AGE_YEARS) is not None:
        found.append(age_band(float(facts[AGE_YEARS])))
    if facts.get(CARE_UNIT):
        found.append(f"unit {facts[CARE_UNIT]}")
    return tuple(found)


def age_band(years: float) -> str:
    """``age 16 to 44``, ``age 80 and over``."""
    place = bisect_right(AGES, years) - 1
    if place == len(AGES) - 1:
        return f"age {AGES[-1]} and over"
    return f"age {AGES[place]} to {AGES[place + 1] - 1}"
