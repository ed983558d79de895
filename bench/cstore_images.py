"""DICOM files for the C-STORE benchmark: so many bytes of pixels, each an instance of its own."""

import os
import secrets
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

#: Stands where each file's own SOP Instance UID is put; of the same length.
_HERE = "1.2.3." + "4" * 30


def write_images(folder: Path, *, count: int, size: int, folders: int = 1, series: str = "") -> list[Path]:
    """``count`` files of about ``size`` bytes in so many folders; with ``series`` they are CT slices of it. Gives the folders."""
    pattern = _file(size, series)
    places = [folder / str(number) for number in range(folders)]
    for place in places:
        place.mkdir(parents=True)
    prefix = f"1.2.3.{10**20 + secrets.randbelow(10**20)}"
    for number in range(count):
        content = pattern.replace(_HERE.encode(), f"{prefix}.{10**7 + number}".encode())
        (places[number % folders] / f"{number}.dcm").write_bytes(content)
    return places


def _file(size: int, series: str) -> bytes:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage if series else DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = _HERE
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = series or generate_uid()
    dataset.StudyDate, dataset.StudyTime = "20260302", "101500"
    dataset.Modality = "CT" if series else "DX"
    dataset.PatientID, dataset.PatientName = "BENCH", "BENCH^ONE"
    dataset.PatientBirthDate, dataset.PatientSex = "20220301", "F"
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "AP"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Rows, dataset.Columns = size // 1000, 500
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation, dataset.SamplesPerPixel = 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = os.urandom(size // 1000 * 1000)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = _HERE
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()
