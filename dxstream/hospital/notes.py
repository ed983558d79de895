"""Clinical notes, half of them as FHIR DocumentReference, half as HL7 MDM messages."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from dxstream.hospital.cases import FHIR, NOTE, Case, Oddity, Sending, chance, digits, oddity_at
from dxstream.hospital.people import AUTHORITY, Person, invent
from dxstream.hospital.segments import escape, message, patient, segment, stamp, visit
from dxstream.hospital.wording import specialties, write_note

ODDITIES = (
    Oddity("unlisted", "no event", "a document type that is not on the list (a nutrition note): not used, no event"),
    Oddity("short", "rejected", "one short sentence: too short to judge, rejected"),
    Oddity("edited", "predicted", "edited afterwards (MDM^T04): two events, the first prediction superseded"),
    Oddity("see comment", "no event", "a laboratory result that says 'see comment': no note, no event"),
    Oddity("resent", "predicted", "the same message sent again with the same control id: the same answer, one input, predicted"),
)
#: The odd ones whose protocol matters; the others go by turns.
OVER_FHIR, OVER_HL7 = ("unlisted", "short"), ("edited", "see comment", "resent")

#: HL7 TXA-2 → LOINC code and name; both are in ``stream/documents.csv``.
TYPES: Mapping[str, tuple[str, str]] = {
    "CN": ("11488-4", "Consultation note"),
    "HP": ("34117-2", "History and physical note"),
    "PN": ("28570-0", "Procedure note"),
    "DS": ("18842-5", "Discharge summary"),
}
UNLISTED = ("61145-9", "Nutrition and dietetics plan of care note")


def note_case(seed: int, index: int, now: datetime) -> Case:
    """The note at ``index``: one document in one or two messages."""
    rng = chance(seed, NOTE, index)
    oddity = oddity_at(index, ODDITIES)
    way = oddity.name if oddity else ""
    over_fhir = way in OVER_FHIR or (index % 2 == 0 and way not in OVER_HL7)
    draw = _by_fhir if over_fhir else _by_hl7
    text = "Seen today on the ward, no change." if way == "short" else write_note(rng, int(rng.integers(len(specialties()))))
    written = (now - timedelta(minutes=int(rng.integers(10, 4000)))).replace(microsecond=0)
    sendings = draw(rng, invent(rng, int(rng.integers(24, 82)), written), written, text, way)
    if oddity is None:
        return Case(kind=NOTE, sendings=sendings)
    return Case(kind=NOTE, sendings=sendings, expected=oddity.expected, note=oddity.note)


def _by_fhir(rng: np.random.Generator, person: Person, written: datetime, text: str, way: str) -> tuple[Sending, ...]:
    code, name = UNLISTED if way == "unlisted" else TYPES[str(rng.choice(list(TYPES)))]
    number = "sim-" + digits(rng, 12)
    attachment = {"contentType": "text/plain", "language": "en", "data": base64.b64encode(text.encode()).decode()}
    resource = {
        "resourceType": "DocumentReference",
        "id": number,
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": code, "display": name}]},
        "subject": {"identifier": {"system": f"urn:{AUTHORITY.lower()}:mr", "value": person.number}},
        "date": written.astimezone(UTC).isoformat(),
        "content": [{"attachment": attachment}],
    }
    return (Sending(protocol=FHIR, sender_id=f"DocumentReference/{number}", content=json.dumps(resource).encode()),)


def _by_hl7(rng: np.random.Generator, person: Person, written: datetime, text: str, way: str) -> tuple[Sending, ...]:
    document = digits(rng, 10)
    if way == "see comment":
        return (_comment(rng, person, written),)
    kind = str(rng.choice(list(TYPES)))
    first = _document(rng, person, written, (kind, document, "T02"), text)
    if way == "resent":
        return first, first
    if way == "edited":
        later = written + timedelta(minutes=5)
        return first, _document(rng, person, later, (kind, document, "T04"), text + "\nADDENDUM: The plan was confirmed on rounds.")
    return (first,)


def _document(rng: np.random.Generator, person: Person, at: datetime, what: tuple[str, str, str], text: str) -> Sending:
    """MDM; ``what``: TXA-2, TXA-12 and the trigger. One OBX a line, since a line break in a field is read in many ways."""
    kind, document, trigger = what
    lines = enumerate(text.split("\n"), start=1)
    code, name = TYPES[kind]
    segments = [
        segment("EVN", {1: trigger, 2: stamp(at)}),
        patient(person),
        visit("WARD3", digits(rng, 8), at),
        segment("TXA", {1: "1", 2: kind, 3: "TX", 4: stamp(at), 12: f"{document}^SIMDOC", 17: "AU"}),
        *(segment("OBX", {1: str(n), 2: "TX", 3: f"{code}^{name}^LN", 4: str(n), 5: escape(line), 11: "F"}) for n, line in lines),
    ]
    return message(f"MDM^{trigger}^MDM_T02", "SIM" + digits(rng, 12), at, segments)


def _comment(rng: np.random.Generator, person: Person, at: datetime) -> Sending:
    request = {
        1: "1",
        3: f"{digits(rng, 10)}^SIMLAB",
        4: "24320-4^Basic metabolic panel^LN",
        7: stamp(at),
        22: stamp(at),
        24: "CH",
        25: "F",
    }
    result = {1: "1", 2: "TX", 3: "8251-1^Service comment^LN", 5: "see comment", 11: "F", 14: stamp(at)}
    segments = [patient(person), visit("WARD3", digits(rng, 8), at), segment("OBR", request), segment("OBX", result)]
    return message("ORU^R01^ORU_R01", "SIM" + digits(rng, 12), at, segments)
