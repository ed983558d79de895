"""Whose a resource is: the patient's key, and what a Patient beside it says of age and sex."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from producers.fhir.around import Around, local_name, split_address
from producers.fhir.elements import Element, codings, element, elements, resource_type, text
from producers.fhir.times import age_years, last_updated, written_date
from stream import facts
from stream.arrival import KnowPatient, Merge
from stream.feeds import FeedConfig

_SEXES = ("female", "male", "other")


@dataclass(frozen=True)
class Person:
    """``key`` is empty when the resource names no patient. ``patient``: the Patient resource, empty when it is elsewhere.

    ``by_id_alone``: the key is that of the server's id, since nobody has told an identifier.
    """

    key: str = ""
    patient: Element = field(default_factory=dict)
    by_id_alone: bool = False


def read_person(resource: Element, around: Around) -> Person:
    """The patient whom ``subject`` (DSTU2 and STU3: also ``patient``) names, by an identifier where there is one."""
    subject = element(resource, "subject") or element(resource, "patient")
    patient = around.find(subject, resource)
    if patient and resource_type(patient) != "Patient":
        return Person()
    stated = element(subject, "identifier")
    reference = text(subject, "reference")
    identifier = stated if text(stated, "value") else _best_identifier(patient) or _searched(reference)
    key = _key(identifier, around) if text(identifier, "value") else ""
    source, local = split_address(reference)
    bare_key = key_of_id(local, source or around.holder, around)
    known = around.remembered(bare_key, source or around.source) if bare_key and not (key and patient) else None
    if known is None or (key and key != known.patient_key):
        return Person(key or bare_key, patient, by_id_alone=not key)
    return Person(known.patient_key, patient or {"birthDate": known.birth_date, "gender": known.sex})


def key_of_patient(patient: Element, around: Around) -> str:
    """The key of a Patient resource by its own identifiers; empty when it has none."""
    identifier = _best_identifier(patient)
    return _key(identifier, around) if identifier else ""


def read_patient(patient: Element, around: Around) -> KnowPatient | str:
    """What is remembered of a Patient for later requests, or why nothing is."""
    bare_key = key_of_id(local_name(patient), around.holder, around)
    if not bare_key:
        return "a patient without an id is nothing that others can refer to"
    if around.source not in around.vouched:
        return "not remembered: its server is not named in feeds.toml"
    sex = text(patient, "gender").lower()
    return KnowPatient(
        bare_key=bare_key,
        birth_date=written_date(text(patient, "birthDate")),
        sex=sex if sex in _SEXES else "",
        facts_at=partial(read_facts, patient, around.feed),
        version_at=last_updated(patient, around.feed.time_zone, around.received_at),
    )


#: Patient.link.type: the two resources are of one person, and one of them is not to be used any more.
_REPLACEMENTS = ("replaced-by", "replaces")


def read_links(patient: Element, around: Around) -> tuple[Merge, ...]:
    """The Patients that this one replaces, or by which it is replaced: one person, as by ADT^A40."""
    linked = [one for one in elements(patient, "link") if text(one, "type") in _REPLACEMENTS]
    found = (read_person({"subject": element(one, "other"), "contained": patient.get("contained", [])}, around) for one in linked)
    return tuple(Merge(other=key) for key in dict.fromkeys(person.key for person in found) if key)


def key_of_id(local: str, source: str, around: Around) -> str:
    """The key of a patient of whom only the server and ``Patient/id`` are known; empty for anything else."""
    if not local.startswith("Patient/"):
        return ""
    return around.door.identities.patient_key(authority=source, number=local, kind="FHIR", feed=around.feed.name)


def _best_identifier(patient: Element) -> Element:
    """The medical record number, else the first identifier with a value that is not outdated."""
    usable = [one for one in elements(patient, "identifier") if text(one, "value") and text(one, "use") != "old"]
    hospital = (one for one in usable if _kind(one) == "MR")
    return next(hospital, usable[0] if usable else {})


def _kind(identifier: Element) -> str:
    return next((code for _, code in codings(element(identifier, "type")) if code), "")


def _searched(reference: str) -> Element:
    """A conditional reference, ``Patient?identifier=system|value``, as an identifier."""
    kind, _, search = reference.partition("?identifier=")
    system, bar, value = search.rpartition("|")
    return {"system": system, "value": value} if kind == "Patient" and bar else {}


def _key(identifier: Element, around: Around) -> str:
    return around.door.identities.patient_key(
        authority=text(identifier, "system") or around.authority or around.feed.authority,
        number=text(identifier, "value"),
        kind=_kind(identifier),
        feed=around.feed.name,
    )


def read_facts(patient: Element, feed: FeedConfig, at: datetime, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Age and sex at a moment beside what else is ``known``; the feed's defaults fill the rest and are named as such."""
    found: dict[str, Any] = dict(known or {})
    age = age_years(text(patient, "birthDate"), at.astimezone(feed.time_zone).date())
    if age is not None:
        found[facts.AGE_YEARS] = age
    if (sex := text(patient, "gender").lower()) in _SEXES:
        found[facts.SEX] = sex
    missing = {name: value for name, value in feed.defaults.items() if name not in found}
    return {**found, **missing, facts.DEFAULTS: sorted(missing)} if missing else found
