"""The number in an Observation or a component: ``value[x]`` as sent, then in the analyte's unit."""

import re
from dataclasses import dataclass

from producers.fhir.around import Around
from producers.fhir.elements import Element, text
from stream.errors import Refused
from stream.points import COMPARED

UCUM = "http://unitsofmeasure.org"

#: A number as hospitals write it in a string: ``<5``, ``7.2 mmol/L``, ``12,5``; not ``1:128``, ``2-5`` or ``1,234``.
_WRITTEN = re.compile(
    r"(?P<compared>[<>]=?)?\s*(?P<number>[+-]?\d{1,12}(?:\.\d{1,12}|,\d{1,2}|,\d{4,12})?)(?:\s*(?P<unit>[A-Za-z%/µ\[{°].{0,20}))?",
)

#: Units that say nothing that the analyte does not say itself, so that a plain integer may go without.
_OWN_UNITS = ("{score}", "[pH]")


@dataclass(frozen=True)
class Value:
    """A number as sent. ``units``: the ways in which its unit is written, the most exact first."""

    number: float
    units: tuple[str, ...]
    flags: int = 0


def read_value(part: Element) -> Value | None:
    """The number of ``value[x]``; None without a value. Raises Refused for a value that is no single number."""
    if isinstance(part.get("valueQuantity"), dict):
        return _quantity(part["valueQuantity"])
    number = part.get("valueInteger", part.get("valueDecimal"))
    if isinstance(number, int | float) and not isinstance(number, bool):
        return Value(_as_float(number), ())
    written = text(part, "valueString")
    if written:
        return _from_string(written)
    if any(name.startswith("value") and value is not None for name, value in part.items()):
        raise Refused("not a single number")
    return None


def _quantity(quantity: Element) -> Value | None:
    code, unit = text(quantity, "code"), text(quantity, "unit")
    units = (code, unit) if text(quantity, "system") in (UCUM, "") else (unit, code)
    compared = text(quantity, "comparator")
    if compared and compared not in COMPARED:
        raise Refused("unknown comparator")
    flags = COMPARED.get(compared, 0)
    number = quantity.get("value")
    if isinstance(number, str) and number.strip():
        value = _from_string(number.strip())
        return Value(value.number, (*units, *value.units), flags | value.flags)
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    return Value(_as_float(number), units, flags)


def _from_string(written: str) -> Value:
    match = _WRITTEN.fullmatch(written)
    if match is None:
        raise Refused("a titre" if re.fullmatch(r"\s*[<>]?=?\s*1\s*:\s*\d+\s*", written) else "not a number")
    flags = COMPARED.get(match["compared"] or "", 0)
    return Value(float(match["number"].replace(",", ".")), (match["unit"] or "",), flags)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        raise Refused("not a finite number") from None


def convert(code: str, value: Value, around: Around) -> float:
    """The value in the unit of the analyte that ``code`` (LOINC) means.

    Raises Refused for a unit that nobody knows or that does not fit.
    """
    analytes = around.door.feeds.analytes
    row = analytes.by_code[code]
    defaults = around.feed.default_units
    own = row.unit if row.unit in _OWN_UNITS else ""
    default = next((defaults[name] for name in (*row.codes, row.analyte) if name in defaults), own)
    written = [unit for unit in value.units if unit] or [default]
    for place, unit in enumerate(written, start=1):
        try:
            return analytes.convert(code, value.number, unit)
        except Refused as error:
            if error.reason != "unknown unit" or place == len(written):
                raise
    raise Refused("no unit")
