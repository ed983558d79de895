"""Real inputs as a hospital sends them: a picture as DICOM, a stay as ADT and ORU, a note as MDM. Knows no network.

Whatever the wrapping adds (a person, times, a place) is made up, such that the cards are meant for it; the input itself
stays as it is: every pixel as the picture decodes, every number in the digits of its file, every letter of a note.
"""

import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from uuid import uuid4

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from dxstream.hospital.cases import DICOM, NOTE, SCAN, STAY, Case, Sending
from dxstream.hospital.people import AUTHORITY, Person
from dxstream.hospital.segments import escape, message, patient, segment, stamp, visit
from models.pixels import Grey, read_picture
from stream.labs import Analytes

#: Completed years of the patients whose age the original does not tell.
CHILD, ADULT = 3, 50
#: A birthday lies so long before the moment at which the age counts that nothing hangs on the hour.
SINCE_BIRTHDAY = timedelta(days=100)
#: Hours of results that one ORU^R01 holds.
HOURS_A_MESSAGE = 6
#: HL7 TXA-2, on the list of document types that become events.
DOCUMENT_TYPE, DOCUMENT_CODE = "CN", "11488-4^Consultation note^LN"
#: OBR-4 of every report.
ORDERED = "74728-7^Vital signs and laboratory^LN"
#: The challenge's Gender → PID-8.
SEXES = {0: "F", 1: "M"}

_LINE_END = re.compile(r"\r\n|\r|\n")
#: What would end a segment or a frame, or vanish on the way.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
#: Parameters of the challenge that describe the patient and are no results.
_AGE, _GENDER = "Age", "Gender"


@dataclass(frozen=True)
class Row:
    """One line of a stay's file as it is written there: ``HH:MM`` since the origin, parameter, value."""

    time: str
    parameter: str
    value: str


def wrap_scan(content: bytes, taken: datetime) -> Case:
    """One DX instance for presentation with the pixels of a JPEG or PNG, of a child of 3 years."""
    person = somebody(CHILD, taken.date())
    dataset = _instance(person, taken)
    _add_pixels(dataset, read_picture(content))
    return Case(kind=SCAN, sendings=(Sending(protocol=DICOM, sender_id=dataset.SOPInstanceUID, content=_file(dataset)),))


def wrap_note(text: str, written: datetime) -> Case:
    """One MDM^T02 with an OBX TX for each line."""
    lines = enumerate(_LINE_END.split(text), start=1)
    segments = [
        segment("EVN", {1: "T02", 2: stamp(written)}),
        patient(somebody(ADULT, written.date())),
        visit("WARD3", fresh(), written),
        segment("TXA", {1: "1", 2: DOCUMENT_TYPE, 3: "TX", 4: stamp(written), 12: f"{fresh()}^AGREEMENT", 17: "AU"}),
        *(segment("OBX", {1: str(n), 2: "TX", 3: DOCUMENT_CODE, 4: str(n), 5: escaped(line), 11: "F"}) for n, line in lines),
    ]
    return Case(kind=NOTE, sendings=(message("MDM^T02^MDM_T02", fresh(), written, segments),))


def wrap_stay(rows: Sequence[Row], origin: datetime, analytes: Analytes) -> Case:
    """ADT^A01 to intensive care at ``origin`` (to the second), then all results, some hours to a message.

    A value that cannot be (a weight of -1) is sent too: to refuse it is the receiver's business.
    """
    about = {row.parameter: int(float(row.value)) for row in rows if row.parameter in (_AGE, _GENDER)}
    person = somebody(about[_AGE], origin.date(), SEXES.get(about.get(_GENDER, -1), "U"))
    head = [patient(person), visit("MICU", fresh(), origin)]
    event = segment("EVN", {1: "A01", 2: stamp(origin), 6: stamp(origin)})
    results = [row for row in rows if row.parameter in analytes.by_name]
    reports = (_report(head, origin, part, analytes) for part in _parts(results))
    return Case(kind=STAY, sendings=(message("ADT^A01^ADT_A01", fresh(), origin, [event, *head]), *reports))


def read_stay_rows(path: Path, wanted: Iterable[str]) -> dict[str, list[Row]]:
    """The lines of the stays with these identifiers, from the challenge's ``set-*/ID.txt`` in a folder or a tar."""
    names = set(wanted)
    return {name: _rows(text) for name, text in (_from_tar(path) if path.is_file() else _from_folder(path)) if name in names}


def somebody(years: int, on: date, sex: str = "F") -> Person:
    """A person nobody else is, who has completed ``years`` years on a day."""
    birthday = on - SINCE_BIRTHDAY
    born = birthday.replace(year=birthday.year - years, day=min(birthday.day, 28))
    return Person(family="Agreement", given="Case", number=fresh(), sex=sex, born=born)


def fresh() -> str:
    """A number that was never given out before; 20 characters, as MSH-10 may have."""
    return uuid4().hex[:20].upper()


def escaped(line: str) -> str:
    """One line of text as a field holds it, unprintable characters as hexadecimal digits."""
    return _UNPRINTABLE.sub(lambda found: f"\\X{ord(found[0]):02X}\\", escape(line))


def decimal(written: str) -> str:
    """The same number without an exponent, which NM does not have."""
    return format(Decimal(written), "f")


def minutes(time: str) -> int:
    """``HH:MM`` since the origin in minutes."""
    hours, _, rest = time.partition(":")
    return int(hours) * 60 + int(rest)


def _instance(person: Person, taken: datetime) -> Dataset:
    """All but the pixels."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, keyword, generate_uid(prefix=None))
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{name}Date", f"{taken:%Y%m%d}")
        setattr(dataset, f"{name}Time", f"{taken:%H%M%S}")
    dataset.TimezoneOffsetFromUTC = f"{taken:%z}"
    dataset.PatientName = f"{person.family}^{person.given}"
    dataset.PatientID, dataset.IssuerOfPatientID = person.number, AUTHORITY
    dataset.PatientBirthDate, dataset.PatientSex = f"{person.born:%Y%m%d}", person.sex
    dataset.Modality, dataset.PresentationIntentType = "DX", "FOR PRESENTATION"
    dataset.BodyPartExamined, dataset.ViewPosition, dataset.ImageLaterality = "CHEST", "AP", "U"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    return dataset


def _add_pixels(dataset: Dataset, picture: Grey) -> None:
    """8 bits a pixel, shown as they are; the pixels went through a lossy compression before."""
    dataset.Rows, dataset.Columns = picture.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation, dataset.PresentationLUTShape = "MONOCHROME2", "IDENTITY"
    dataset.PixelRepresentation = 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.LossyImageCompression, dataset.LossyImageCompressionMethod = "01", "ISO_10918_1"
    pixels = picture.tobytes()
    dataset.PixelData = pixels + bytes(len(pixels) % 2)


def _file(dataset: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _parts(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows by time, some hours together."""
    cut: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: minutes(row.time)):
        cut.setdefault(minutes(row.time) // (60 * HOURS_A_MESSAGE), []).append(row)
    return list(cut.values())


def _report(head: Sequence[str], origin: datetime, part: Sequence[Row], analytes: Analytes) -> Sending:
    """ORU^R01 with one order; OBX-4 tells its results apart."""
    done = origin + timedelta(minutes=minutes(part[-1].time) + 20)
    request = {1: "1", 3: f"{fresh()}^AGREEMENT", 4: ORDERED, 7: stamp(done), 22: stamp(done), 25: "F"}
    results = (_result(number, row, origin, analytes) for number, row in enumerate(part, start=1))
    return message("ORU^R01^ORU_R01", fresh(), done, [*head, segment("OBR", request), *results])


def _result(number: int, row: Row, origin: datetime, analytes: Analytes) -> str:
    analyte = analytes.by_name[row.parameter]
    fields = {
        1: str(number),
        2: "NM",
        3: f"{analyte.codes[0]}^{escape(analyte.name)}^LN",
        4: str(number),
        5: decimal(row.value),
        6: escape(analyte.unit),
        11: "F",
        14: stamp(origin + timedelta(minutes=minutes(row.time))),
    }
    return segment("OBX", fields)


def _from_tar(path: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".txt") else None
            if file:
                yield Path(member.name).stem, file.read().decode()


def _from_folder(path: Path) -> Iterator[tuple[str, str]]:
    return ((file.stem, file.read_text(encoding="utf-8")) for file in sorted(path.glob("set-*/*.txt")))


def _rows(text: str) -> list[Row]:
    return [Row(*line.split(",")) for line in text.splitlines()[1:]]
