"""Encounter → the course of a stay: into intensive care, from there on, and out of it.

An Encounter is told whole each time, so a newer version stands in place of an older one. A server that gives only the present
location does not say since when: that takes nothing back, or each transfer would take the stay's origin away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from producers.fhir.around import Around
from producers.fhir.elements import Element, codings, element, elements, required_text, resource_id, text
from producers.fhir.patient import Person, read_facts
from producers.fhir.times import first_moment, last_updated, moment_or_none
from stream.arrival import Move, TellCourse
from stream.errors import Refused
from stream.moments import MOST_AHEAD, Moment

#: Encounter.class of a stay in hospital: v3-ActCode, and the words that DSTU2 used.
_INPATIENT = {"IMP", "ACUTE", "NONAC", "INPATIENT"}
_UNDER_WAY = ("in-progress", "onleave", "finished")
_UNDONE = ("cancelled", "entered-in-error")
_NOT_BEGUN = ("planned", "arrived", "triaged")
_KNOWN = (*_UNDER_WAY, *_UNDONE, *_NOT_BEGUN)
_NOT_THERE = ("planned", "reserved")


@dataclass(frozen=True)
class _Place:
    """Where the patient was from a moment on.

    ``intensive`` None: no location was given, or an undated one that is not intensive. ``dated``: the location has its own
    beginning.
    """

    since: Moment
    intensive: bool | None
    dated: bool


def read_course(encounter: Element, person: Person, around: Around) -> tuple[TellCourse] | str:
    """The course that an Encounter tells of, or why it tells of none. Raises Refused, naming the element."""
    status = required_text(encounter, "status", "Encounter.status")
    stay = _stay(encounter, around)
    if not person.key:
        return "no patient is named"
    if not stay:
        return "the encounter has neither an identifier nor an id"
    if status not in _KNOWN:
        return "its status does not say whether there is a stay"
    why = _no_stay(encounter, status)
    stands = not why and status not in _UNDONE
    places = _places(encounter, around) if stands else []
    if stands and not places:
        return "the stay has no time of its beginning"
    places = [place for place in places if place.since.at <= around.received_at + MOST_AHEAD]
    if stands and not places:
        raise Refused("in the future", where="Encounter.period")
    course = TellCourse(
        stay=stay,
        told_by=around.door.identities.digest("encounter", around.holder, resource_id(encounter) or stay),
        moves=tuple(_moves(encounter, places, stay, person, around)),
        why=why,
        adds=not all(place.dated for place in places),
        version_at=last_updated(encounter, around.feed.time_zone, around.received_at),
    )
    return (course,)


def _no_stay(encounter: Element, status: str) -> str:
    """Why an Encounter is no stay in hospital; empty when it is, or was, one."""
    if status in _NOT_BEGUN:
        return "the encounter has not begun"
    return "" if _is_inpatient(encounter) else "not a stay in hospital"


def _moves(encounter: Element, places: list[_Place], stay: str, person: Person, around: Around) -> Iterator[Move]:
    kind = "admit"
    for place in places:
        at, repeated_hour = place.since.at, place.since.repeated_hour
        known = read_facts(person.patient, around.feed, at)
        yield Move(kind=kind, stay=stay, at=at, intensive=place.intensive, facts=known, repeated_hour=repeated_hour)
        kind = "transfer"
    ended = first_moment(element(encounter, "period"), ("end",), around.feed.time_zone, around.received_at)
    if places and ended and text(encounter, "status") == "finished":
        yield Move(kind="discharge", stay=stay, at=ended, intensive=None)


def _places(encounter: Element, around: Around) -> list[_Place]:
    """Each location with its own beginning, in their order; else the stay as a whole."""
    zone = around.feed.time_zone
    begun = _start(encounter, zone)
    service = _names_of(element(encounter, "serviceType"))
    found: list[_Place] = []
    for one in elements(encounter, "location"):
        own = _start(one, zone)
        since = own or begun
        if since and text(one, "status") not in _NOT_THERE:
            inward = _any_intensive(service | _names_of_location(element(one, "location"), encounter, around), around)
            # Without a time of its own it may be where the patient is now, after intensive care.
            found.append(_Place(since, inward if own or inward else None, dated=own is not None))
    if found or begun is None:
        return sorted(found, key=lambda place: place.since.at)
    return [_Place(begun, _any_intensive(service, around) if service else None, dated=False)]


def _start(parent: Element, zone: ZoneInfo) -> Moment | None:
    return moment_or_none(text(element(parent, "period"), "start"), zone)


def _names_of_location(reference: Element, encounter: Element, around: Around) -> set[str]:
    location = around.find(reference, encounter)
    identifiers = (element(reference, "identifier"), *elements(location, "identifier"))
    return {text(reference, "display"), text(location, "name"), *(text(one, "value") for one in identifiers)}


def _names_of(concept: Element) -> set[str]:
    names = {text(concept, "text"), *(code for _, code in codings(concept))}
    names |= {text(coding, "display") for coding in elements(concept, "coding")}
    return names - {""}


def _any_intensive(names: set[str], around: Around) -> bool:
    return any(name.upper() in around.door.feeds.intensive_locations for name in names)


def _is_inpatient(encounter: Element) -> bool:
    coded = text(element(encounter, "class"), "code") or text(encounter, "class")
    return coded.upper() in _INPATIENT


def _stay(encounter: Element, around: Around) -> str:
    """The hash of the visit: by its number, else by the Encounter's id on its server; empty without either."""
    identities = around.door.identities
    for identifier in elements(encounter, "identifier"):
        if text(identifier, "value"):
            authority = text(identifier, "system") or around.authority or around.holder
            return identities.visit_key(authority=authority, number=text(identifier, "value"))
    return identities.digest("visit", around.holder, f"Encounter/{resource_id(encounter)}") if resource_id(encounter) else ""
