"""The table of analytes (``labs.csv``) and units (``units.csv``): a result's code and unit → the value that models take.

UCUM alone cannot turn mg/dL into mmol/L: that needs the molar factor of each analyte. Knows no protocol and no model.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stream.errors import Refused
from stream.table import Row, read_rows

HERE = Path(__file__).parent

#: The columns that a table of analytes must have; ``molar_factor`` and ``valence`` may be left out.
COLUMNS = (
    *("analyte", "name", "loinc_mass", "loinc_substance", "specimen", "unit", "molar_unit"),
    *("plausible_low", "plausible_high", "physical_low", "physical_high"),
)

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
    for _, row in read_rows(HERE / "units.csv", "ucum", "written", "dimension", "scale"):
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
        """The shipped table, then each CSV of ``more`` that exists: a row of the same analyte replaces the earlier one.

        Raises Refused with file and line for a CSV that lacks a column or holds something other than a number where one belongs.
        """
        rows: dict[str, Analyte] = {}
        for path in (HERE / "labs.csv", *more):
            if path.exists():
                rows.update((row.analyte, row) for row in map(_analyte, read_rows(path, *COLUMNS)))
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


def _analyte(row: Row) -> Analyte:
    where, cells = row
    molar_only = cells.get("loinc_molar_only", "").split()  # an operator's table may not have the column
    try:
        return Analyte(
            analyte=cells["analyte"],
            name=cells["name"],
            codes=tuple(cells["loinc_mass"].split() + cells["loinc_substance"].split() + molar_only),
            molar_only=frozenset(molar_only),
            specimen=cells["specimen"],
            unit=cells["unit"],
            molar_unit=cells["molar_unit"],
            molar_factor=float(cells["molar_factor"]) if cells.get("molar_factor") else None,
            valence=float(cells["valence"]) if cells.get("valence") else None,
            plausible=(float(cells["plausible_low"]), float(cells["plausible_high"])),
            physical=(float(cells["physical_low"]), float(cells["physical_high"])),
        )
    except ValueError as error:
        raise Refused("a factor or range that is no number", where=where) from error
