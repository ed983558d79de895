"""One FHIR R4 resource → one arrival. Knows no Bundle and no HTTP."""

from collections.abc import Callable
from dataclasses import replace

from producers.fhir.around import Around, local_name
from producers.fhir.document import CANCELLED, read_document, read_report
from producers.fhir.elements import Element, canonical, codings, element, elements, resource_id, resource_type, sha256, text
from producers.fhir.encounter import read_course
from producers.fhir.observation import read_results
from producers.fhir.patient import Person, key_of_patient, read_links, read_patient, read_person
from stream.arrival import MOST_CODE, AddResults, Arrival, Ask, RefusedPoint
from stream.errors import Refused, Unsupported
from stream.queues import Lane

_URGENT = ("stat", "asap")

#: What a resource asks, or why it asks nothing.
Reading = tuple[Ask, ...] | str


def parse_resource(resource: Element, around: Around) -> Arrival:
    """The arrival of a resource. Raises Unsupported for a type that is not taken, Refused naming the element at fault.

    Its content is the canonical JSON, so that one resource written in two ways is one input.
    """
    kind = resource_type(resource)
    if kind in ALONGSIDE:
        return _arrival(resource, "", ALONGSIDE[kind], around)
    if kind == "Patient":
        return _patient_arrival(resource, around)
    if kind not in READERS:
        raise Unsupported("this resource type is not taken", where="resourceType")
    person = read_person(resource, around)
    arrival = _arrival(resource, person.key, READERS[kind](resource, person, around), around)
    return replace(arrival, by_id_alone=person.by_id_alone)


def _patient_arrival(patient: Element, around: Around) -> Arrival:
    """A Patient asks nothing but to be remembered; without an identifier its server and id are its key."""
    found = read_patient(patient, around)
    if isinstance(found, str):
        return _arrival(patient, key_of_patient(patient, around), found, around)
    return _arrival(patient, key_of_patient(patient, around) or found.bare_key, (found, *read_links(patient, around)), around)


def _arrival(resource: Element, patient_key: str, reading: Reading, around: Around) -> Arrival:
    content = canonical(resource)
    return Arrival(
        feed=around.way,
        identity=_identity(resource, content, patient_key, around),
        sender_id=sender_id(resource),
        content=around.door.store.put(content),
        patient_key=patient_key,
        lane=_lane(resource, around),
        asks=() if isinstance(reading, str) else reading,
        not_used=reading if isinstance(reading, str) else "",
    )


def _identity(resource: Element, content: bytes, patient_key: str, around: Around) -> str:
    """Server, id and content; without an id the patient, since many servers number what they hold in the same way."""
    name = resource_id(resource) or f"of {patient_key}"
    return f"fhir:{around.door.identities.digest('resource', around.holder, resource_type(resource), name)}:{sha256(content)}"


def sender_id(resource: Element) -> str:
    """``Type/id``; the digest's beginning for a Patient, whose id may be a patient's number, and where there is no id."""
    if resource_type(resource) != "Patient" and local_name(resource):
        return local_name(resource)
    return f"{resource_type(resource)}/{sha256(canonical(resource))[:16]}"


def _lane(resource: Element, around: Around) -> Lane:
    """Stat when a ServiceRequest beside it, on which it is based, is stat or asap."""
    asked = [around.find(reference, resource) for reference in elements(resource, "basedOn")]
    return Lane.STAT if any(text(one, "priority") in _URGENT for one in asked) else Lane.ROUTINE


def _read_observation(observation: Element, person: Person, around: Around) -> Reading:
    found = read_results(observation, person, around)
    return found if isinstance(found, str) else (found,)


def _read_report(report: Element, person: Person, around: Around) -> Reading:
    """The report's text as a note, and the Observations that it contains as results."""
    note = read_report(report, person, around)
    results = tuple(_contained_results(report, person, around))
    return results + (() if isinstance(note, str) else note) or note


def _contained_results(report: Element, person: Person, around: Around) -> list[AddResults]:
    """Those of each contained Observation; one that cannot be read is a refused point, and the rest of the report is taken."""
    found: list[AddResults] = []
    for place, one in enumerate(elements(report, "contained")):
        if resource_type(one) != "Observation":
            continue
        try:
            results = _contained(one, report, person, around)
        except Refused as error:
            code = next((code for _, code in codings(element(one, "code"))), "")
            point = RefusedPoint(code=code[:MOST_CODE], reason=error.reason, where=error.where)
            results = AddResults(results=(), refused=(point,))
        if not isinstance(results, str):
            found.append(replace(results, refused=tuple(_inside(point, place) for point in results.refused)))
    return found


def _contained(one: Element, report: Element, person: Person, around: Around) -> AddResults | str:
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


READERS: dict[str, Callable[[Element, Person, Around], Reading]] = {
    "Observation": _read_observation,
    "DiagnosticReport": _read_report,
    "DocumentReference": read_document,
    "Encounter": read_course,
}

_CONTEXT = "it only goes with other resources"

#: Types that come along in Bundles and help to read the others: kept, never judged.
ALONGSIDE = dict.fromkeys(
    (
        "Device",
        "EpisodeOfCare",
        "Location",
        "MessageHeader",
        "Organization",
        "Parameters",
        "Practitioner",
        "PractitionerRole",
        "Provenance",
        "RelatedPerson",
        "ServiceRequest",
        "Specimen",
        "SubscriptionStatus",
    ),
    _CONTEXT,
)

#: What ``POST /fhir/{type}`` and ``PUT /fhir/{type}/{id}`` take.
TAKEN_ALONE = (*READERS, "Patient")


def check_object(resource: object) -> Element:
    """The resource when it is a JSON object that says its type; raises Refused."""
    if not isinstance(resource, dict):
        raise Refused("not a JSON object")
    if not resource_type(resource):
        raise Refused("resourceType is missing or no string", where="resourceType")
    return resource
