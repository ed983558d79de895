import hashlib

import pytest
from dicom_samples import file_of, projection
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from producers.dicom.file import Instance, read_file, write_file
from producers.dicom.header import parse_header
from stream.errors import Refused


def canonical(content: bytes) -> bytes:
    instance = read_file(content)
    header = parse_header(instance)
    return write_file(instance, sop_class=header.sop_class, sop_instance=header.sop_instance)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_the_canonical_file_is_a_dicom_file_with_the_same_dataset(syntax: str) -> None:
    sent = projection()
    read = dcmread(DicomBytesIO(canonical(file_of(sent, syntax))))
    assert read.file_meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID == sent.SOPInstanceUID
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.PixelData == sent.PixelData


def test_the_canonical_file_never_changes() -> None:
    instance = Instance(transfer_syntax=str(ExplicitVRLittleEndian), dataset=b"")
    written = write_file(instance, sop_class="1.2", sop_instance="1.2.3")
    assert hashlib.sha256(written).hexdigest() == "c4b5c998e9779c3f7dcc551b20e850ba538157a2cb33d184105334ab8b428bb0"


def test_what_stands_around_the_dataset_does_not_change_the_digest() -> None:
    content = file_of(projection())
    odd = b"MM" * 64 + content[128:]
    assert canonical(odd) == canonical(content)
    assert canonical(canonical(content)) == canonical(content)


@pytest.mark.parametrize("content", [b"", b"DICM", b"no DICOM" * 100, bytes(128) + b"DICN" + bytes(500)])
def test_what_is_no_dicom_file_is_refused(content: bytes) -> None:
    with pytest.raises(Refused, match="not a DICOM file"):
        read_file(content)


def test_a_file_cut_inside_its_meta_group_is_refused() -> None:
    content = file_of(projection())
    for length in range(132, 200):
        with pytest.raises(Refused):
            read_file(content[:length])
