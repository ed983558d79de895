"""The Observations that a DiagnosticReport contains → results. A version of the report is the whole of them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from producers.fhir.around import Around
from producers.fhir.document import CANCELLED
from producers.fhir.elements import Element, codings, element, elements, resource_id, resource_type, text
from producers.fhir.observation import read_results
from producers.fhir.patient import Person, read_person
from producers.fhir.times import first_moment, last_updated
from stream.arrival import MOST_CODE, AddResults, RefusedPoint, Result
from stream.errors import Refused

_NOT_NAMED = "the report does not name it as a result"


def read_contained(report: Element, person: Person, around: Around, why: str) -> tuple[AddResults, ...]:
    """What the report's own Observations ask; ``why``: what is said of a report in which no result has a value.

    Those that report and Observation both name are one whole, so that what an earlier version held besides is taken back. One
    that cannot be read is a refused point, and the rest is taken.
    """
    found = list(_read_each(report, person, around))
    whose = person.key or any(one.results for one in found) or report["status"] in CANCELLED
    if not resource_id(report) or not whose:
        return tuple(found)
    named = [one for one in found if one.whole or not one.results]
    return _whole(report, named, around, "" if found else why), *(one for one in found if one not in named)


def _whole(report: Element, named: list[AddResults], around: Around, why: str) -> AddResults:
    """All of them as results of the report: its version is theirs."""
    base = around.door.identities.digest("result", around.holder, "DiagnosticReport", resource_id(report))
    version_at = _version(report, around)
    results = [replace(result, base=base, version_at=version_at) for one in named for result in one.results]
    itself = Result(
        base=base,
        identity=base,
        code="",
        value=None,
        flags=0,
        observed_at=version_at,
        available_at=version_at,
        version_at=version_at,
        only_known=bool(results) or report["status"] not in CANCELLED,
    )
    refused = tuple(point for one in named for point in one.refused)
    return AddResults(results=(itself, *results), refused=refused, whole=True, why=why)


def _version(report: Element, around: Around) -> datetime:
    """What orders the versions of the report: its own dates, else the latest of what it contains, else its receipt."""
    zone, received_at = around.feed.time_zone, around.received_at
    own = last_updated(report, zone, received_at) or first_moment(report, ("issued",), zone, received_at)
    inner = (first_moment(one, ("issued",), zone, received_at) for one in elements(report, "contained"))
    return own or max((moment for moment in inner if moment), default=received_at)


def _read_each(report: Element, person: Person, around: Around) -> Iterator[AddResults]:
    """Those of each contained Observation that asks for anything."""
    named = _named(report)
    for place, one in enumerate(elements(report, "contained")):
        if resource_type(one) != "Observation":
            continue
        try:
            results = _read(one, report, person, around)
        except Refused as error:
            code = next((code for _, code in codings(element(one, "code"))), "")
            point = RefusedPoint(code=code[:MOST_CODE], reason=error.reason, where=error.where)
            results = AddResults(results=(), refused=(point,))
        if isinstance(results, str):
            continue
        if named and f"#{text(one, 'id')}" not in named:
            results = AddResults(results=(), refused=tuple(map(_unnamed, results.results)))
        yield replace(results, refused=tuple(_inside(point, place) for point in results.refused))


def _named(report: Element) -> set[str]:
    """What the report, and what it contains, refer to as results; empty where the report has no ``result``."""
    if not elements(report, "result"):
        return set()
    inner = [(one, name) for one in elements(report, "contained") for name in ("hasMember", "derivedFrom")]
    return {text(reference, "reference") for one, name in ((report, "result"), *inner) for reference in elements(one, name)}


def _unnamed(result: Result) -> RefusedPoint:
    return RefusedPoint(code=result.code, reason=_NOT_NAMED, observed_at=result.observed_at, where="Observation")


def _read(one: Element, report: Element, person: Person, around: Around) -> AddResults | str:
    outer = {name: report[name] for name in ("effectiveDateTime", "effectivePeriod", "issued", "meta") if name in report}
    inner = {**one, "status": report["status"]} if report["status"] in CANCELLED else one
    owner = person if not element(one, "subject") else read_person({**one, "contained": report["contained"]}, around)
    whole, own = resource_id(report), resource_id(one)
    if whole and own:
        return read_results({**outer, **inner}, owner, around, name=f"{whole}#{own}")
    return read_results({**outer, **inner, "id": ""}, owner, around)  # its id holds inside its report alone


def _inside(point: RefusedPoint, place: int) -> RefusedPoint:
    """A refused point with its FHIRPath as seen from the report."""
    return replace(point, where=f"DiagnosticReport.contained[{place}]{point.where.removeprefix('Observation')}")
