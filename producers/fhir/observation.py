"""Observation → results on the patient's timeline: codes, values, units, versions; components are results of their own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from producers.fhir.around import Around
from producers.fhir.elements import LOINC, Element, codings, element, elements, required_text, resource_id, text
from producers.fhir.patient import Person
from producers.fhir.times import Moment, effective, first_moment, last_updated
from stream.arrival import AddResults, Result
from stream.errors import Refused
from stream.labs import Analyte
from stream.points import FLAG_ABOVE, FLAG_BELOW, FLAG_CORRECTED, FLAG_PRELIMINARY, FLAG_REPEATED_HOUR

UCUM = "http://unitsofmeasure.org"

#: Status → the flags of its results; those of _REMOVED take the results back.
_STATUS_FLAGS = {
    "final": 0,
    "amended": FLAG_CORRECTED,
    "corrected": FLAG_CORRECTED,
    "registered": FLAG_PRELIMINARY,
    "preliminary": FLAG_PRELIMINARY,
    "unknown": FLAG_PRELIMINARY,
}
_REMOVED = ("entered-in-error", "cancelled")

_COMPARED = {"<": FLAG_BELOW, "<=": FLAG_BELOW, ">": FLAG_ABOVE, ">=": FLAG_ABOVE}

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


def read_results(observation: Element, person: Person, around: Around, *, name: str = "") -> AddResults | str:
    """The results and the refused points, or why there are none.

    ``name``: what identifies the Observation on its server; its id unless given. Raises Refused, naming the element.
    """
    status = required_text(observation, "status", "Observation.status")
    if status not in _STATUS_FLAGS and status not in _REMOVED:
        raise Refused("status is no code that R4 knows", where="Observation.status")
    if not isinstance(observation.get("code"), dict):
        raise Refused("code is missing or no CodeableConcept", where="Observation.code")
    parts = [(row, part) for part in (observation, *elements(observation, "component")) if (row := _analyte(part, around))]
    if not parts:
        return "no analyte has this code"
    if not person.key and status not in _REMOVED:
        return "no patient is named"
    reader = _Reader(observation, person, around, name or resource_id(observation), status)
    return reader.read(parts)


def _analyte(part: Element, around: Around) -> Analyte | None:
    """The analyte that a ``code`` means: by LOINC, else by a local code of ``codes.csv``."""
    feeds = around.door.feeds
    for system, code in codings(element(part, "code")):
        loinc = code if system in LOINC else feeds.local_codes.get(code.upper(), "")
        if row := feeds.analytes.by_code.get(loinc):
            return row
    return None


class _Reader:
    """One Observation: what its value and its components have in common."""

    def __init__(self, observation: Element, person: Person, around: Around, name: str, status: str) -> None:
        self.observation = observation
        self.person = person
        self.around = around
        self.name = name
        self.removed = status in _REMOVED
        self.flags = _STATUS_FLAGS.get(status, 0)
        zone = around.feed.time_zone
        self.available_at = first_moment(observation, ("issued",), zone) or around.received_at
        self.version_at = last_updated(observation, zone) or self.available_at

    def read(self, parts: list[tuple[Analyte, Element]]) -> AddResults | str:
        results: list[Result] = []
        refused: list[dict[str, str]] = []
        for row, part in parts:
            try:
                results += self._results(row, part)
            except Refused as error:
                refused.append({"code": row.codes[0], "reason": error.reason, "where": self._where(part)})
        if not results and not refused:
            return "no result with a value"
        return AddResults(results=tuple(results), refused=tuple(refused))

    def _results(self, row: Analyte, part: Element) -> Iterator[Result]:
        if self.removed:
            yield self._result(row, part, None, 0, self._removed_from())
        elif (value := _read_value(part)) is not None:
            moment = effective(self.observation, self.around.feed.time_zone, self.around.received_at)
            flags = self.flags | value.flags | (FLAG_REPEATED_HOUR if moment.repeated_hour else 0)
            yield self._result(row, part, _convert(row, value, self.around), flags, moment.at)

    def _result(self, row: Analyte, part: Element, value: float | None, flags: int, at: datetime) -> Result:
        return Result(
            base=self._base(row, part, at),
            code=row.codes[0],
            value=value,
            flags=flags,
            observed_at=at,
            available_at=self.available_at,
            version_at=self.version_at,
        )

    def _where(self, part: Element) -> str:
        """The FHIRPath of a value."""
        place = next((place for place, one in enumerate(elements(self.observation, "component")) if one is part), None)
        return "Observation.value" if place is None else f"Observation.component[{place}].value"

    def _removed_from(self) -> datetime:
        """The observation time of what is taken back; a removal needs none, so the nearest other time will do."""
        try:
            moment = effective(self.observation, self.around.feed.time_zone, self.around.received_at)
        except Refused:
            moment = Moment(self.version_at)
        return moment.at

    def _base(self, row: Analyte, part: Element, at: datetime) -> str:
        component = () if part is self.observation else (row.codes[0],)
        if not self.name:
            return self.around.door.identities.digest("result", self.person.key, row.codes[0], at.isoformat())
        return self.around.door.identities.digest("result", self.around.holder, "Observation", self.name, *component)


def _read_value(part: Element) -> Value | None:
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
    if compared and compared not in _COMPARED:
        raise Refused("unknown comparator")
    flags = _COMPARED.get(compared, 0)
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
    flags = _COMPARED.get(match["compared"] or "", 0)
    return Value(float(match["number"].replace(",", ".")), (match["unit"] or "",), flags)


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        raise Refused("not a finite number") from None


def _convert(row: Analyte, value: Value, around: Around) -> float:
    """The value in the analyte's unit; raises Refused for a unit that nobody knows or that does not fit."""
    defaults = around.feed.default_units
    own = row.unit if row.unit in _OWN_UNITS else ""
    default = next((defaults[name] for name in (*row.codes, row.analyte) if name in defaults), own)
    written = [unit for unit in value.units if unit] or [default]
    for place, unit in enumerate(written, start=1):
        try:
            return around.door.feeds.analytes.convert(row.codes[0], value.number, unit)
        except Refused as error:
            if error.reason != "unknown unit" or place == len(written):
                raise
    raise Refused("no unit")
