import struct
import time
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from dicom_samples import file_of, projection
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from producers.dicom.elements import MAX_INFLATED, read_elements
from producers.dicom.file import read_file
from stream.errors import Refused

PATIENT_ID = 0x00100020
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]

SEQUENCE = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def nested(depth: int) -> bytes:
    return (SEQUENCE + ITEM) * depth + (ITEM_END + SEQUENCE_END) * depth


def with_open_sequences() -> Dataset:
    """Sequences and items of undefined length, before the patient's number."""
    dataset, inner = projection(), Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    inner.PatientID = "another"
    inner.is_undefined_length_sequence_item = True
    dataset.ReferencedImageSequence = Sequence([inner, inner])
    dataset["ReferencedImageSequence"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_reads_the_same_values_in_every_transfer_syntax(syntax: str) -> None:
    instance = read_file(file_of(with_open_sequences(), syntax))
    found = read_elements(instance.dataset, instance.transfer_syntax, [PATIENT_ID])
    assert found[PATIENT_ID].strip() == b"CANARY1"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_dataset_that_is_cut_anywhere_is_refused_or_ends_between_two_elements(syntax: str) -> None:
    instance = read_file(file_of(with_open_sequences(), syntax))
    refused = 0
    for length in range(len(instance.dataset)):
        try:
            read_elements(instance.dataset[:length], instance.transfer_syntax, [PATIENT_ID])
        except Refused:
            refused += 1
    assert refused > 0.9 * len(instance.dataset)


def test_half_a_file_is_refused() -> None:
    instance = read_file(file_of(projection(PixelData=bytes(100_000))))
    with pytest.raises(Refused, match="ends in the middle"):
        read_elements(instance.dataset[:50_000], instance.transfer_syntax, [])


def test_sequences_nested_to_death_are_refused_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match="nested too deeply"):
        read_elements(nested(100_000), ExplicitVRLittleEndian, [])
    assert time.monotonic() - began < 1


def test_honest_nesting_is_read() -> None:
    read_elements(nested(30), ExplicitVRLittleEndian, [])


def test_a_length_of_four_gigabytes_takes_no_memory() -> None:
    claim = struct.pack("<HH2sHL", 0x0010, 0x0020, b"UN", 0, 0xFFFFFFF0) + b"x" * 256
    tracemalloc.start()
    with pytest.raises(Refused):
        read_elements(claim, ExplicitVRLittleEndian, [PATIENT_ID])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_endless_small_elements_are_refused() -> None:
    element = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 0)
    with pytest.raises(Refused, match="too many"):
        read_elements(element * 1_000_001, ExplicitVRLittleEndian, [])


def test_a_small_deflated_dataset_that_becomes_huge_is_refused() -> None:
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = bytes(2**20)
    bomb = b"".join(stream.compress(block) for _ in range(MAX_INFLATED // len(block) + 1)) + stream.flush()
    assert len(bomb) < 1_000_000
    with pytest.raises(Refused, match="too large"):
        read_elements(bomb, DeflatedExplicitVRLittleEndian, [])


def test_random_bytes_are_read_or_refused_and_nothing_else() -> None:
    noise = zlib.compress(bytes(range(256)) * 40) * 3
    for start in range(0, len(noise) - 64, 7):
        for syntax in SYNTAXES:
            with suppress(Refused):
                read_elements(noise[start:], syntax, [PATIENT_ID])
