"""Chest X-rays of made-up children, as the DICOM instances that a digital X-ray room would send."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from dxstream.hospital.cases import DICOM, SCAN, Case, Oddity, Sending, chance, digits, oddity_at
from dxstream.hospital.people import AUTHORITY, invent
from dxstream.hospital.radiograph import draw_chest

ODDITIES = (
    Oddity("adult", "unmatched", "the patient is 40 years old: unmatched"),
    Oddity("ageless", "rejected", "neither birth date nor age: rejected"),
    Oddity("lateral", "unmatched", "a lateral view: unmatched"),
    Oddity("knee", "unmatched", "a knee: unmatched"),
    Oddity("black", "rejected", "a constant black image: rejected"),
    Oddity("inverse", "predicted", "stored as MONOCHROME1: inverted once, predicted"),
    Oddity("deep", "predicted", "12 bits with a window: predicted"),
    Oddity("twice", "predicted", "the same instance sent twice: one input, predicted"),
)
#: Share of the ordinary ones whose lungs hold opacities.
OPACITY_SHARE = 0.5


def scan_case(seed: int, index: int, now: datetime) -> Case:
    """The scan at ``index``: one instance, a projection radiograph."""
    rng = chance(seed, SCAN, index)
    oddity = oddity_at(index, ODDITIES)
    way = oddity.name if oddity else ""
    taken = now - timedelta(minutes=int(rng.integers(2, 2000)))
    dataset = _dataset(rng, taken, way)
    _add_pixels(dataset, draw_chest(rng, opacity=bool(rng.random() < OPACITY_SHARE)), way)
    sending = Sending(protocol=DICOM, sender_id=dataset.SOPInstanceUID, content=_encoded(dataset))
    sendings = (sending, sending) if way == "twice" else (sending,)
    if oddity is None:
        return Case(kind=SCAN, sendings=sendings)
    return Case(kind=SCAN, sendings=sendings, expected=oddity.expected, note=oddity.note)


def _dataset(rng: np.random.Generator, taken: datetime, way: str) -> Dataset:
    """All but the pixels."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, keyword, _uid(rng))
    _add_times(dataset, taken.astimezone(UTC))
    _add_patient(dataset, rng, taken, way)
    dataset.AccessionNumber = digits(rng, 8)
    dataset.StudyID = digits(rng, 4)
    dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = "Simulated"
    dataset.Modality = "DX"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.BodyPartExamined = "KNEE" if way == "knee" else "CHEST"
    dataset.ViewPosition = "LL" if way == "lateral" else str(rng.choice(("AP", "PA")))
    dataset.ImageLaterality = "U"
    dataset.SeriesNumber = dataset.InstanceNumber = 1
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    return dataset


def _uid(rng: np.random.Generator) -> str:
    """A UID made of a random number (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(rng.bytes(15), 'big')}"


def _add_times(dataset: Dataset, taken: datetime) -> None:
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{name}Date", f"{taken:%Y%m%d}")
        setattr(dataset, f"{name}Time", f"{taken:%H%M%S}")
    dataset.TimezoneOffsetFromUTC = "+0000"


def _add_patient(dataset: Dataset, rng: np.random.Generator, taken: datetime, way: str) -> None:
    person = invent(rng, 40 if way == "adult" else int(rng.integers(1, 6)), taken)
    dataset.PatientName = f"{person.family}^{person.given}"
    dataset.PatientID = person.number
    dataset.IssuerOfPatientID = AUTHORITY
    dataset.PatientBirthDate = "" if way == "ageless" else f"{person.born:%Y%m%d}"
    dataset.PatientSex = person.sex


def _add_pixels(dataset: Dataset, picture: NDArray[np.uint8], way: str) -> None:
    dataset.Rows, dataset.Columns = picture.shape
    dataset.SamplesPerPixel = 1
    dataset.PixelRepresentation = 0
    dataset.PixelSpacing = ["0.5", "0.5"]
    dataset.PixelIntensityRelationship = "LOG"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    inverse = way == "inverse"
    dataset.PixelIntensityRelationshipSign = 1 if inverse else -1
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverse else "MONOCHROME2"
    dataset.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    stored = _stored(dataset, picture, way)
    bits = 12 if way == "deep" else 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * stored.itemsize, bits, bits - 1
    dataset.PixelData = stored.tobytes()


def _stored(dataset: Dataset, picture: NDArray[np.uint8], way: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Greys as the instance stores them."""
    if way == "black":
        return np.zeros_like(picture)
    if way == "inverse":
        return np.asarray(255 - picture, np.uint8)
    if way != "deep":
        return picture
    dataset.WindowCenter, dataset.WindowWidth = 2048, 2041  # shows 1028 (grey 0) as black and 3068 (grey 255) as white
    return np.asarray(picture.astype(np.uint16) * 8 + 1028, np.uint16)


def _encoded(dataset: Dataset) -> bytes:
    """A DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
