"""What the senders send: small cases of every kind, drawn from a seed, no two alike."""

import base64
import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta

from dicom_samples import ct_slice, file_of, projection
from wires import STOW

from dxstream.hospital.cases import DICOM, FHIR, NOTE, SCAN, STAY, Case, Sending
from dxstream.hospital.people import Person
from dxstream.hospital.segments import escape, message, patient, segment, stamp, visit

#: Pixels of an edge: the larger one makes a content that is a file of the store, not a row.
SMALL, LARGE = 16, 280

#: Analytes of the stays: LOINC code, name, unit.
ANALYTES = (("8867-4", "HR", "/min"), ("2951-2", "Sodium", "mmol/L"), ("2823-3", "Potassium", "mmol/L"))


def number(rng: random.Random, length: int = 14) -> str:
    return str(rng.randrange(10 ** (length - 1), 10**length))


def person(rng: random.Random) -> Person:
    return Person(family="Chaosborn", given="Amberlina", number=number(rng), sex="F", born=date(1950, 1, 1))


def _picture(rng: random.Random, side: int) -> dict[str, object]:
    uids = {name: f"2.25.{number(rng, 30)}" for name in ("SOPInstanceUID", "StudyInstanceUID")}
    return uids | {"Rows": side, "Columns": side, "PixelData": rng.randbytes(side * side), "PatientID": number(rng)}


def _scan(rng: random.Random, protocol: str) -> Case:
    dataset = projection(**_picture(rng, rng.choice((SMALL, SMALL, LARGE))))
    return Case(kind=SCAN, sendings=(Sending(protocol=protocol, sender_id=dataset.SOPInstanceUID, content=file_of(dataset)),))


def scan(rng: random.Random) -> Case:
    return _scan(rng, DICOM)


def scan_by_stow(rng: random.Random) -> Case:
    return _scan(rng, STOW)


def series(rng: random.Random) -> Case:
    """Three slices of one CT series; its end is known by silence alone."""
    name, study = f"2.25.{number(rng, 30)}", f"2.25.{number(rng, 30)}"
    pictures = [_picture(rng, SMALL) | {"StudyInstanceUID": study, "series": name} for _ in range(3)]
    slices = [ct_slice(number=place, **one) for place, one in enumerate(pictures)]
    return Case(
        kind=SCAN, sendings=tuple(Sending(protocol=DICOM, sender_id=one.SOPInstanceUID, content=file_of(one)) for one in slices)
    )


def note_by_hl7(rng: random.Random, *, text: str = "") -> Case:
    """A document; one in four is edited afterwards, one in four is sent twice."""
    who, at, document = person(rng), _now(), number(rng)
    words = text or f"Operative report {number(rng)}: laparoscopic appendectomy under general anaesthesia, no complications."
    first = _document(rng, who, at, document, "T02", words)
    way = "" if text else rng.choice(("", "", "edited", "twice"))
    if way == "edited":
        return Case(kind=NOTE, sendings=(first, _document(rng, who, at, document, "T04", words + " Addendum.")), note="edited")
    return Case(kind=NOTE, sendings=(first, first) if way == "twice" else (first,), note=way)


def _document(rng: random.Random, who: Person, at: datetime, document: str, trigger: str, words: str) -> Sending:
    segments = [
        segment("EVN", {1: trigger, 2: stamp(at)}),
        patient(who),
        visit("WARD3", number(rng), at),
        segment("TXA", {1: "1", 2: "DS", 3: "TX", 4: stamp(at), 12: f"{document}^CHAOS", 17: "AU"}),
        segment("OBX", {1: "1", 2: "TX", 3: "18842-5^Discharge summary^LN", 5: escape(words), 11: "F"}),
    ]
    return message(f"MDM^{trigger}^MDM_T02", "C" + number(rng), at, segments)


def note_by_fhir(rng: random.Random) -> Case:
    name = f"chaos-{number(rng)}"
    text = base64.b64encode(f"Consultation {name}: laparoscopic appendectomy, no complications at all.".encode()).decode()
    resource = {
        "resourceType": "DocumentReference",
        "id": name,
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11504-8"}]},
        "subject": {"identifier": {"system": "urn:chaos:mr", "value": number(rng)}},
        "date": _now().isoformat(),
        "content": [{"attachment": {"contentType": "text/plain", "language": "en", "data": text}}],
    }
    sending = Sending(protocol=FHIR, sender_id=f"DocumentReference/{name}", content=json.dumps(resource).encode())
    return Case(kind=NOTE, sendings=(sending,))


def stay(rng: random.Random) -> Case:
    """An admission to intensive care days ago, and two reports of results."""
    who, origin, stay_number = person(rng), _now() - timedelta(hours=80), number(rng)
    pv1 = visit("MICU", stay_number, origin)
    admission = message(
        "ADT^A01^ADT_A01",
        "C" + number(rng),
        origin,
        [segment("EVN", {1: "A01", 2: stamp(origin), 6: stamp(origin)}), patient(who), pv1],
    )
    return Case(kind=STAY, sendings=(admission, *(_report(rng, who, pv1, origin + timedelta(hours=hour)) for hour in (4, 9))))


def _report(rng: random.Random, who: Person, pv1: str, at: datetime) -> Sending:
    request = segment("OBR", {1: "1", 3: f"{number(rng)}^CHAOS", 4: "74728-7^Panel^LN", 7: stamp(at), 22: stamp(at), 25: "F"})
    values = (80, 140, 4)
    results = [
        segment("OBX", {1: str(n), 2: "NM", 3: f"{code}^{name}^LN", 5: f"{value}", 6: unit, 11: "F", 14: stamp(at)})
        for n, ((code, name, unit), value) in enumerate(zip(ANALYTES, values, strict=True), start=1)
    ]
    return message("ORU^R01^ORU_R01", "C" + number(rng), at, [patient(who), pv1, request, *results])


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


#: Kind → what draws a case of it.
KINDS: Mapping[str, Callable[[random.Random], Case]] = {
    "scan": scan,
    "stow": scan_by_stow,
    "series": series,
    "note": note_by_hl7,
    "fhir": note_by_fhir,
    "stay": stay,
}
