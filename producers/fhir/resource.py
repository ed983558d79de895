"""One FHIR R4 resource → one arrival. Knows no Bundle and no HTTP."""

from collections.abc import Callable
from dataclasses import replace

from producers.fhir.around import Around, local_name
from producers.fhir.contained import read_contained
from producers.fhir.document import read_document, read_report
from producers.fhir.elements import Element, canonical, elements, resource_id, resource_type, sha256, text
from producers.fhir.encounter import read_course
from producers.fhir.observation import read_results
from producers.fhir.patient import Person, key_of_patient, read_links, read_patient, read_person
from producers.unexpected import refused_if_unexpected
from stream.arrival import Arrival, Ask
from stream.errors import Refused, Unsupported
from stream.queues import Lane

_URGENT = ("stat", "asap")

#: What a resource asks, or why it asks nothing.
Reading = tuple[Ask, ...] | str


def parse_resource(resource: Element, around: Around) -> Arrival:
    """The arrival of a resource. Raises Unsupported for a type that is not taken, Refused naming the element at fault.

    Its content is the canonical JSON, so that one resource written in two ways is one input.
    """
    with refused_if_unexpected(around.way):
        return _parse(resource, around)


def _parse(resource: Element, around: Around) -> Arrival:
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
    if isinstance(note, str):
        return read_contained(report, person, around, why=note) or note
    return (*note, *read_contained(report, person, around, why=""))


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
