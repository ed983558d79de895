"""How a patient fares over 48 hours of intensive care: the values that are measured, and when. Knows no message."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from stream.labs import Analyte, Analytes

#: Length of the course, in hours.
HOURS = 48.0


@dataclass(frozen=True, kw_only=True)
class Course:
    """A row of ``courses.csv``, values in the analyte's own unit.

    ``share``: of the stays in which it is measured at all. ``stable`` and ``failing``: where it stands at the end.
    ``between``, ``within``: standard deviations, from patient to patient and from one measurement to the next.
    """

    analyte: Analyte
    every_hours: float
    share: float
    stable: float
    failing: float
    between: float
    within: float
    decimals: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One value; ``hour``: since the admission to intensive care."""

    analyte: Analyte
    hour: float
    value: float


@cache
def courses() -> tuple[Course, ...]:
    """Every analyte of ``stream/labs.csv`` that the simulated hospital measures."""
    analytes = Analytes.read().by_name
    with (Path(__file__).parent / "courses.csv").open(newline="", encoding="utf-8") as file:
        return tuple(_course(row, analytes) for row in csv.DictReader(file))


def _course(row: Mapping[str, str], analytes: Mapping[str, Analyte]) -> Course:
    return Course(
        analyte=analytes[row["analyte"]],
        every_hours=float(row["every_hours"]),
        share=float(row["share"]),
        stable=float(row["stable"]),
        failing=float(row["failing"]),
        between=float(row["between"]),
        within=float(row["within"]),
        decimals=int(row["decimals"]),
    )


def draw_course(rng: np.random.Generator, *, failing: bool) -> list[Measured]:
    """All that is measured in one stay, by hour. A stable patient begins somewhat ill and mends, a failing one declines."""
    illness = float(rng.uniform(0.5, 0.9)) if failing else float(rng.uniform(0.0, 0.25))
    found: list[Measured] = []
    for course in courses():
        if rng.random() < course.share:
            found += _measure(rng, course, illness, failing=failing)
    return sorted(found, key=lambda one: one.hour)


def _measure(rng: np.random.Generator, course: Course, illness: float, *, failing: bool) -> list[Measured]:
    """The values of one analyte; the first within the hour, the others about ``every_hours`` apart."""
    hours = np.arange(rng.uniform(0.05, min(course.every_hours, 1.0)), HOURS - 0.2, course.every_hours)
    hours[1:] += rng.uniform(-0.15, 0.15, len(hours) - 1)
    progress = hours / HOURS if failing else 1.0 - hours / HOURS
    own = course.stable + rng.normal(0.0, course.between)
    values = own + (course.failing - course.stable) * illness * progress + rng.normal(0.0, course.within, len(hours))
    low, high = course.analyte.plausible
    kept = np.clip(values, max(low, course.stable / 8), high).round(course.decimals)
    return [Measured(analyte=course.analyte, hour=float(h), value=float(v)) for h, v in zip(hours, kept, strict=True)]
