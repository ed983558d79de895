"""Observation → results on the patient's timeline: codes, values, units, versions; components are results of their own."""

from datetime import datetime

from producers.fhir.around import Around
from producers.fhir.elements import LOINC, Element, codings, element, elements, required_text, resource_id
from producers.fhir.patient import Person
from producers.fhir.times import effective, first_moment, last_updated
from producers.fhir.value import convert, read_value
from stream.arrival import AddResults, RefusedPoint, Result
from stream.errors import Refused
from stream.points import FLAG_CORRECTED, FLAG_PRELIMINARY, FLAG_REPEATED_HOUR

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


def read_results(observation: Element, person: Person, around: Around, *, name: str = "") -> AddResults | str:
    """The results and the refused points, or why there are none.

    ``name``: what identifies the Observation on its server; its id unless given. Raises Refused, naming the element.
    """
    status = required_text(observation, "status", "Observation.status")
    if status not in _STATUS_FLAGS and status not in _REMOVED:
        raise Refused("status is no code that R4 knows", where="Observation.status")
    if not isinstance(observation.get("code"), dict):
        raise Refused("code is missing or no CodeableConcept", where="Observation.code")
    parts = [(code, part) for part in (observation, *elements(observation, "component")) if (code := _code(part, around))]
    reader = _Reader(observation, person, around, name or resource_id(observation), status)
    if not parts:
        return reader.without_parts() or "no analyte has this code"
    if not person.key and status not in _REMOVED:
        return "no patient is named"
    return reader.read(parts)


def _code(part: Element, around: Around) -> str:
    """The analyte that a ``code`` means, by LOINC, else by a local code of ``codes.csv``; empty when it means none."""
    feeds = around.door.feeds
    for system, code in codings(element(part, "code")):
        loinc = code if system in LOINC else feeds.local_codes.get(code.upper(), "")
        if loinc in feeds.analytes.by_code:
            return loinc
    return ""


class _Reader:
    """One Observation: what its value and its components have in common."""

    def __init__(self, observation: Element, person: Person, around: Around, name: str, status: str) -> None:
        self.observation = observation
        self.person = person
        self.around = around
        self.name = name
        self.removed = status in _REMOVED
        self.flags = _STATUS_FLAGS.get(status, 0)
        self.takes_back = self.removed or bool(self.flags & FLAG_CORRECTED)
        zone = around.feed.time_zone
        self.available_at = first_moment(observation, ("issued",), zone, around.received_at) or around.received_at
        self.version_at = last_updated(observation, zone, around.received_at) or self.available_at

    def read(self, parts: list[tuple[str, Element]]) -> AddResults | str:
        results: list[Result] = []
        refused: list[RefusedPoint] = []
        for sent, part in parts:
            code = self.around.door.feeds.analytes.canonical(sent)
            try:
                result = self._valued(sent, code, part)
            except Refused as error:
                at, where = self._observed_or_none(), self._where(part)
                refused.append(RefusedPoint(code=code, reason=error.reason, observed_at=at, where=where))
                result = None
            results += [result] if result else self._taken_back(code, part)
        if not results and not refused:
            return "no result with a value"
        valued = {one.identity for one in results if one.value is not None and one.identity}
        kept = tuple(one for one in results if one.value is not None or one.identity not in valued)
        return AddResults(results=kept, refused=tuple(refused), whole=bool(self.name))

    def without_parts(self) -> AddResults | None:
        """A resource that was taken back or corrected may have held what it no longer names: None for any other."""
        if not self.name or not self.takes_back:
            return None
        nothing = self._result("", "", None, 0, None, only_known=not self.removed)
        return AddResults(results=(nothing,), whole=True)

    def _valued(self, sent: str, code: str, part: Element) -> Result | None:
        """None without a value; raises Refused for one that is not taken."""
        value = None if self.removed else read_value(part)
        if value is None:
            return None
        moment = effective(self.observation, self.around.feed.time_zone, self.around.received_at)
        flags = self.flags | value.flags | (FLAG_REPEATED_HOUR if moment.repeated_hour else 0)
        return self._result(code, self._component(code, part), convert(sent, value, self.around), flags, moment.at)

    def _taken_back(self, code: str, part: Element) -> list[Result]:
        """Without a value that can be read, what an earlier version said is taken back."""
        if not self.name and not self.removed:
            return []
        at = self._observed_or_none()  # a removal needs no time of its own
        return [self._result(code, self._component(code, part), None, 0, at, only_known=not self.takes_back)]

    def _result(
        self, code: str, component: str, value: float | None, flags: int, at: datetime | None, *, only_known: bool = False
    ) -> Result:
        base = self._digest() if self.name else self._unnamed(code, at or self.version_at)
        return Result(
            base=base,
            identity=(self._digest(component) if component else base) if self.name else "",
            code=code,
            value=value,
            flags=flags,
            observed_at=at,
            available_at=self.available_at,
            version_at=self.version_at,
            only_known=only_known,
        )

    def _where(self, part: Element) -> str:
        """The FHIRPath of a value."""
        place = next((place for place, one in enumerate(elements(self.observation, "component")) if one is part), None)
        return "Observation.value" if place is None else f"Observation.component[{place}].value"

    def _observed_or_none(self) -> datetime | None:
        try:
            return effective(self.observation, self.around.feed.time_zone, self.around.received_at).at
        except Refused:
            return None

    def _component(self, code: str, part: Element) -> str:
        """The code of a component; empty for the Observation's own value."""
        return "" if part is self.observation else code

    def _digest(self, *component: str) -> str:
        return self.around.door.identities.digest("result", self.around.holder, "Observation", self.name, *component)

    def _unnamed(self, code: str, at: datetime) -> str:
        return self.around.door.identities.digest("result", self.person.key, code, at.isoformat())
