"""The table of analytes (``labs.csv``) and units (``units.csv``): a result's code and unit → the value that models take.

UCUM alone cannot turn mg/dL into mmol/L: that needs the molar factor of each analyte. Knows no protocol and no model.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stream.errors import Refused

HERE = Path(__file__).parent

#: Dimensions whose values need no unit to be understood.
_BARE = {"score": "{score}", "acidity": "[ph]"}


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit of ``units.csv``. ``scale``: how many of the dimension's base unit one of it is."""

    ucum: str
    dimension: str
    scale: float


@dataclass(frozen=True, kw_only=True)
class Analyte:
    """A row of ``labs.csv``.

    ``unit``: what every model takes. ``molar_factor``: how many ``molar_unit`` one ``unit`` is. ``valence``: meq per
    mmol. ``molar_only``: those of ``codes`` that name another substance with as many moles, as urea is for urea nitrogen: its mass
    is another one. ``plausible``: outside it the point is flagged by a gate; ``physical``: outside it the point is refused.
    """

    analyte: str
    name: str
    codes: tuple[str, ...]
    molar_only: frozenset[str]
    specimen: str
    unit: str
    molar_unit: str
    molar_factor: float | None
    valence: float | None
    plausible: tuple[float, float]
    physical: tuple[float, float]


@cache
def units() -> Mapping[str, Unit]:
    """Every way to write a unit, lower case and without blanks at the ends → the unit."""
    table: dict[str, Unit] = {}
    for row in _rows(HERE / "units.csv"):
        unit = Unit(ucum=row["ucum"], dimension=row["dimension"], scale=float(row["scale"]))
        for written in (row["ucum"], *row["written"].split()):
            table.setdefault(_plain(written), unit)
    return table


def _plain(written: str) -> str:
    """Lower case and without blanks, so that ``mm Hg`` and ``mmHg`` are one."""
    return written.strip().lower().replace(" ", "")


class Analytes:
    """The analytes of one installation, found by LOINC code."""

    def __init__(self, rows: Iterable[Analyte]) -> None:
        self.rows = tuple(rows)
        self.by_code = {code: row for row in self.rows for code in row.codes}
        self.by_name = {row.analyte: row for row in self.rows}

    @classmethod
    def read(cls, *more: Path) -> "Analytes":
        """The shipped table, then each CSV of ``more`` that exists: a row of the same analyte replaces the earlier one."""
        rows: dict[str, Analyte] = {}
        for path in (HERE / "labs.csv", *more):
            if path.exists():
                rows.update((row["analyte"], _analyte(row)) for row in _rows(path))
        return cls(rows.values())

    def canonical(self, code: str) -> str:
        """The first LOINC code of the analyte that ``code`` belongs to; raises Refused for a code not in the table."""
        row = self.by_code.get(code)
        if row is None:
            raise Refused("no analyte has this code")
        return row.codes[0]

    def convert(self, code: str, value: float, written: str) -> float:
        """``value`` in the analyte's unit; raises Refused with the reason (no unit, unknown unit, impossible value)."""
        row = self.by_code.get(code)
        if row is None:
            raise Refused("no analyte has this code")
        if not math.isfinite(value):
            raise Refused("not a finite number")
        written = written.strip() or _BARE.get(units()[_plain(row.unit)].dimension, "")
        if not written:
            raise Refused("no unit")
        unit = units().get(_plain(written))
        if unit is None:
            raise Refused("unknown unit")
        if code in row.molar_only and unit.dimension != units()[_plain(row.molar_unit)].dimension:
            raise Refused(f"unit does not fit {row.analyte}")
        converted = _convert(value, unit, row)
        low, high = row.physical
        if not low <= converted <= high:
            raise Refused("outside the physical range")
        return converted


def _convert(value: float, unit: Unit, row: Analyte) -> float:
    target = units().get(_plain(row.unit))
    if target is None:
        raise Refused(f"the table gives {row.analyte} an unknown unit")
    if unit.dimension == "temperature" == target.dimension:
        return _to_celsius(value, unit.ucum)
    if unit.dimension == target.dimension:
        return value * unit.scale / target.scale
    if unit.dimension == "charge concentration" and row.valence:
        return _convert(value * unit.scale * 1000 / row.valence, units()["mmol/l"], row)
    if row.molar_factor and unit.dimension == units()[_plain(row.molar_unit)].dimension:
        return value * unit.scale / units()[_plain(row.molar_unit)].scale / row.molar_factor
    raise Refused(f"unit does not fit {row.analyte}")


def _to_celsius(value: float, ucum: str) -> float:
    if ucum == "[degF]":
        return (value - 32.0) * 5.0 / 9.0
    return value - 273.15 if ucum == "K" else value


def _analyte(row: Mapping[str, str]) -> Analyte:
    def number(name: str) -> float | None:
        return float(row[name]) if row.get(name) else None

    molar_only = (row.get("loinc_molar_only") or "").split()  # an operator's table may not have the column
    return Analyte(
        analyte=row["analyte"],
        name=row["name"],
        codes=tuple(row["loinc_mass"].split() + row["loinc_substance"].split() + molar_only),
        molar_only=frozenset(molar_only),
        specimen=row["specimen"],
        unit=row["unit"],
        molar_unit=row["molar_unit"],
        molar_factor=number("molar_factor"),
        valence=number("valence"),
        plausible=(float(row["plausible_low"]), float(row["plausible_high"])),
        physical=(float(row["physical_low"]), float(row["physical_high"])),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
