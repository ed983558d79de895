"""Small files of every kind for the backlog's benchmark, with the book of what is in them: one line an input, one a broken file."""

import json
import random
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

#: Files in one folder; messages, lines or members in a file that holds several.
IN_A_FOLDER, IN_A_FILE = 500, 20
#: What of a hundred files: DICOM, single ORU, ORU batch, NDJSON, note, ZIP, broken.
SHARES = {"dicom": 60, "oru": 25, "batch": 3, "ndjson": 3, "note": 5, "zip": 2, "broken": 2}
#: UIDs of one length, so that a file is made of a template by putting another in its place.
UID = "2.25.1{:020d}"


def write_files(folder: Path, files: int, seed: int) -> Iterator[tuple[str, str]]:
    """Make them; gives (kind, what its sender calls the input) for each input, ("broken", path) for each broken file."""
    chance = random.Random(seed)
    template = _template()
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    for number in range(files):
        place = folder / f"{number // IN_A_FOLDER:05d}"
        if number % IN_A_FOLDER == 0:
            place.mkdir(parents=True)
        yield from _write(place, chance.choice(kinds), number, template)


def _write(place: Path, kind: str, number: int, template: bytes) -> Iterator[tuple[str, str]]:
    ids = [number * IN_A_FILE + one for one in range(IN_A_FILE)]
    if kind == "dicom":
        (place / f"{number}.dcm").write_bytes(_dicom(template, ids[0]))
        yield kind, UID.format(ids[0])
    elif kind == "oru":
        (place / f"{number}.hl7").write_bytes(_oru(ids[0]))
        yield kind, f"M{ids[0]}"
    elif kind == "batch":
        (place / f"{number}.hl7").write_bytes(b"FHS|^~\\&\rBHS|^~\\&\r" + b"".join(map(_oru, ids)) + b"BTS|20\rFTS|1\r")
        yield from ((kind, f"M{one}") for one in ids)
    elif kind == "ndjson":
        (place / f"{number}.ndjson").write_text("".join(f"{json.dumps(_observation(one))}\n" for one in ids))
        yield from ((kind, f"Observation/o{one}") for one in ids)
    elif kind == "note":
        path = place / f"{number}.txt"
        path.write_text(f"Consultation {number}. The patient complains of a cough and is sent home.")
        yield kind, str(path)
    elif kind == "zip":
        with zipfile.ZipFile(place / f"{number}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for one in ids:
                archive.writestr(f"images/{one}.dcm", _dicom(template, one))
        yield from ((kind, UID.format(one)) for one in ids)
    else:
        path = place / f"{number}.dcm"
        path.write_bytes(template[: 140 + number % 150])  # somewhere in its File Meta group
        yield kind, str(path)


def _dicom(template: bytes, number: int) -> bytes:
    return template.replace(UID.format(0).encode(), UID.format(number).encode())


def _template() -> bytes:
    dataset = Dataset()
    values = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation, "SOPInstanceUID": UID.format(0), "StudyInstanceUID": "2.25.2",
        "SeriesInstanceUID": "2.25.3", "Modality": "DX", "PresentationIntentType": "FOR PRESENTATION", "PatientID": "BENCH",
        "PatientBirthDate": "20190301", "StudyDate": "20230302", "StudyTime": "101500", "BodyPartExamined": "CHEST",
        "ViewPosition": "PA", "Rows": 64, "Columns": 64, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
        "PixelRepresentation": 0, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelData": bytes(4096),
    }  # fmt: skip
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _oru(number: int) -> bytes:
    segments = (
        f"MSH|^~\\&|LAB|HOSP|DX|X|20230302115500||ORU^R01|M{number}|P|2.5.1",
        f"PID|1||{number % 1000}^^^HOSP^MR||BENCH^MARK||19610203|F",
        f"OBR|1|P1|F{number}|24323-8^Panel^LN|||20230302110000",
        "OBX|1|NM|2951-2^Sodium^LN||140|mmol/L|||||F",
        "OBX|2|NM|2160-0^Creatinine^LN||1.1|mg/dL|||||F",
    )
    return "".join(f"{segment}\r" for segment in segments).encode()


def _observation(number: int) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2951-2"}]},
        "subject": {"identifier": {"system": "urn:oid:1.2.3", "value": str(number % 1000)}},
        "effectiveDateTime": "2023-03-02T11:00:00Z",
        "issued": "2023-03-02T11:30:00Z",
        "valueQuantity": {"value": 140, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
    }
