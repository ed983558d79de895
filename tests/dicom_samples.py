"""DICOM for tests: instances as a modality would make them, with marks that must never be logged, and the sending of them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
ECHO = "1.2.840.10008.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

#: Stands in every identifier of a sample's patient.
MARK = "CANARY"


def palette(*colours: Sequence[int], bits: int = 16) -> dict[str, Any]:
    """Elements of a palette: each of 256 stored values' red, green and blue, of 0 to 255."""
    tables = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, table in zip(("Red", "Green", "Blue"), zip(*colours, strict=True), strict=True):
        entries = np.array(table, "<u2") * (257 if bits == 16 else 1)
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        tables[f"{name}PaletteColorLookupTableData"] = entries.astype("<u2" if bits == 16 else "u1").tobytes()
    return tables


def groups(*, shared: dict[str, Any] | None = None, own: Sequence[dict[str, Any]] | None = None) -> Dataset:
    """Functional groups of an enhanced image, each as group → its elements: for all frames, and of each frame."""
    dataset = Dataset()
    if shared is not None:
        dataset.SharedFunctionalGroupsSequence = [_group(shared)]
    if own is not None:
        dataset.PerFrameFunctionalGroupsSequence = [_group(one) for one in own]
    return dataset


def _group(told: dict[str, Any]) -> Dataset:
    item = Dataset()
    for name, elements in told.items():
        inner = Dataset()
        for keyword, value in elements.items():
            setattr(inner, keyword, value)
        setattr(item, name, [inner])
    return item


def projection(**keywords: Any) -> Dataset:
    """A small frontal chest radiograph of a four-year-old; ``None`` leaves a keyword out."""
    dataset = Dataset()
    values = {
        "SOPClassUID": DX,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "Modality": "DX",
        "PresentationIntentType": "FOR PRESENTATION",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "PatientID": f"{MARK}1",
        "PatientName": f"{MARK}^NAME",
        "PatientBirthDate": "20190301",
        "PatientSex": "F",
        "StudyDate": "20230302",
        "StudyTime": "101500",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "Rows": 16,
        "Columns": 16,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": bytes(range(256)),
    }
    with disable_value_validation():
        for keyword, value in {**values, **keywords}.items():
            if value is not None:
                setattr(dataset, keyword, value)
    return dataset


def ct_slice(series: str, number: int, **keywords: Any) -> Dataset:
    """One slice of a series."""
    return projection(SOPClassUID=CT, Modality="CT", SeriesInstanceUID=series, InstanceNumber=number, **keywords)


def file_of(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The dataset as a DICOM file."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", DX)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    file = BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


@contextmanager
def association(port: int, *contexts: tuple[str, str], title: str = "MODALITY") -> Iterator[Association]:
    """An association of pynetdicom as the sender; without ``contexts`` one that sends the samples."""
    entity = AE(title)
    for sop_class, syntax in contexts or (
        (DX, ExplicitVRLittleEndian),
        (CT, ExplicitVRLittleEndian),
        (ECHO, ExplicitVRLittleEndian),
    ):
        entity.add_requested_context(sop_class, syntax)
    made = entity.associate("127.0.0.1", port)
    connection = made.dul.socket.socket
    try:
        yield made
    finally:
        if made.is_established:
            made.release()
        if connection:
            connection.close()  # pynetdicom leaves it open where the peer went first


def send(port: int, dataset: Dataset, *, title: str = "MODALITY", priority: int = 0) -> Dataset:
    """Send an instance over an association of its own; the answer's status."""
    file_of(dataset)
    with association(port, title=title) as made:
        return made.send_c_store(dataset, priority=priority)


def send_bytes(
    port: int, dataset: bytes, *, sop_class: str, sop_instance: str, syntax: str = ExplicitVRLittleEndian
) -> C_STORE | None:
    """A C-STORE request with any bytes for a dataset; None where the receiver takes no such thing."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = sop_instance
    request.Priority = 0
    request.DataSet = BytesIO(dataset)
    with association(port, (sop_class, syntax)) as made:
        if not made.is_established:
            return None
        made._reactor_checkpoint.clear()  # else the reactor would take the answer for a request
        while not made._is_paused:
            time.sleep(0.0001)
        made.dimse.send_msg(request, made.accepted_contexts[0].context_id)
        _, answer = made.dimse.get_msg(block=True)
        made._reactor_checkpoint.set()
        return answer
