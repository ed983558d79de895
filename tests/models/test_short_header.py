"""The short way through a header and pydicom's: the same greys, the same refusals."""

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import groups
from model_samples import dicom, picture
from pydicom.uid import ImplicitVRLittleEndian

from models import pixels
from models.short_header import read_short
from stream.errors import Rejected

FEEDS = Path(__file__).parents[3] / "shared" / "data" / "feeds"
RAMP = np.tile(np.arange(0, 4096, 32, dtype=np.uint16), (128, 1))
TWELVE = {"BitsStored": 12, "HighBit": 11}


def seen(content: bytes) -> object:
    """What becomes of a file: its greys, or why it is refused."""
    try:
        return pixels.read_picture(content).tolist()
    except Rejected as refusal:
        return refusal.reason


def with_pydicom(content: bytes, monkeypatch: pytest.MonkeyPatch) -> object:
    with monkeypatch.context() as patched:
        patched.setattr(pixels, "read_short", lambda _: None)
        return seen(content)


ORDINARY = {
    "8 bits": dicom(picture(0)),
    "12 bits": dicom(RAMP, **TWELVE),
    "a window": dicom(RAMP, **TWELVE, WindowCenter=2048, WindowWidth=1024),
    "an exact window": dicom(RAMP, **TWELVE, WindowCenter=2048, WindowWidth=1024, VOILUTFunction="LINEAR_EXACT"),
    "a slope": dicom(RAMP, **TWELVE, RescaleSlope="-2", RescaleIntercept="100"),
    "inverted": dicom(RAMP, **TWELVE, PhotometricInterpretation="MONOCHROME1"),
    "odd number of bytes": dicom(picture(0)[:65, :65]),
}
ODD = {
    "values beyond their bits": dicom(RAMP * 2, **TWELVE, WindowCenter=2048, WindowWidth=1024),
    "two windows": dicom(RAMP, **TWELVE, WindowCenter=[2048, 40], WindowWidth=[1024, 400]),
    "padding": dicom(RAMP, **TWELVE, PixelPaddingValue=0),
    "signed": dicom(RAMP.astype(np.int16), **TWELVE, PixelRepresentation=1),
    "a colour image": dicom(picture(0), SamplesPerPixel=3, PhotometricInterpretation="RGB"),
    "functional groups": dicom(RAMP, **TWELVE, **{one.keyword: one.value for one in groups(shared={})}),
    "several frames": dicom(picture(0), NumberOfFrames=2),
    "another syntax": dicom(picture(0), syntax=ImplicitVRLittleEndian),
    "more rows than pixels": dicom(picture(0), Rows=4000),
    "cut short": dicom(picture(0))[:-10],
    "bytes after the pixels": dicom(picture(0)) + b"\0\0",
    "an empty window": dicom(RAMP, **TWELVE, WindowCenter="", WindowWidth=""),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_file_goes_the_short_way_and_gives_the_same_greys(name: str, monkeypatch: pytest.MonkeyPatch):
    assert read_short(ORDINARY[name]) is not None
    assert seen(ORDINARY[name]) == with_pydicom(ORDINARY[name], monkeypatch)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_left_to_pydicom(name: str):
    assert read_short(ODD[name]) is None


def test_no_byte_that_is_cut_off_makes_a_difference(monkeypatch: pytest.MonkeyPatch):
    whole = dicom(picture(0)[:8, :8])
    for end in range(132, len(whole), 7):
        assert seen(whole[:end]) == with_pydicom(whole[:end], monkeypatch)


@pytest.mark.skipif(not FEEDS.exists(), reason="the collection of odd files is not on this machine")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_file_of_the_collection_looks_the_same_both_ways(monkeypatch: pytest.MonkeyPatch):
    files = [path for path in sorted(FEEDS.rglob("*")) if path.is_file()]
    contents = [content for content in map(Path.read_bytes, files) if content[128:132] == b"DICM"]
    assert len(contents) > 100
    assert sum(read_short(content) is not None for content in contents) >= 5
    for content in contents:
        assert seen(content) == with_pydicom(content, monkeypatch)
