"""Images for the page: right polarity and window, bounded in a process of their own, and said in words where there is none."""

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from dicom_samples import file_of, groups, palette, projection
from pydicom.data import get_testdata_file

from console import picture as picture_module
from console.decode import CannotShowError, decode
from console.picture import NoPicture, Pictures, decoded, png_of

RAMP = bytes(range(256))


def content(**keywords) -> bytes:
    return file_of(projection(**keywords))


def greys(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


def test_what_is_stored_is_what_is_shown():
    assert (greys(decoded(content(), 0).png()).ravel() == np.frombuffer(RAMP, np.uint8)).all()


def test_monochrome1_is_inverted_once():
    shown = greys(decoded(content(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"), 0).png())
    assert (shown.ravel() == 255 - np.frombuffer(RAMP, np.uint8)).all()


def test_a_palette_is_shown_by_what_its_values_stand_for():
    shown = greys(decoded(content(**palette(*([255 - value] * 3 for value in range(256)))), 0).png())
    assert shown.ravel().tolist() == list(range(255, -1, -1))


def test_the_headers_window_holds_until_another_is_asked_for():
    one = decoded(content(WindowCenter=64, WindowWidth=128), 0)
    assert (one.centre, one.width) == (64, 128)
    shown, wide = greys(one.png()).ravel(), greys(one.png(127.5, 255)).ravel()
    assert (shown[128:] == 255).all()
    assert wide[128] == 128


def test_values_are_in_the_images_own_units():
    one = decoded(content(RescaleSlope=2, RescaleIntercept=-100), 0)
    assert (one.low, one.high) == pytest.approx((-100, 410))


def test_padding_is_black_in_either_polarity():
    for polarity in ("MONOCHROME1", "MONOCHROME2"):
        one = decoded(content(PixelPaddingValue=200, PixelRepresentation=0, PhotometricInterpretation=polarity), 0)
        assert greys(one.png()).ravel()[200] == 0
        assert one.padded


def test_a_larger_image_is_averaged_down():
    rows = np.repeat(np.repeat(np.frombuffer(RAMP, np.uint8).reshape(16, 16), 128, axis=0), 128, axis=1)
    one = decoded(content(Rows=2048, Columns=2048, PixelData=rows.tobytes()), 0)
    assert (one.rows, one.columns) == (1024, 1024)
    assert greys(one.png())[::64, ::64].ravel().tolist() == list(RAMP)


def test_a_frame_of_several_is_shown_and_one_too_many_is_said():
    many = content(NumberOfFrames=2, PixelData=RAMP + RAMP[::-1])
    assert greys(decoded(many, 1).png()).ravel().tolist() == list(RAMP[::-1])
    with pytest.raises(NoPicture, match="it has 2"):
        decoded(many, 2)


def test_each_frame_has_the_rescale_and_the_window_of_its_functional_groups():
    shared = {"PixelValueTransformationSequence": {"RescaleSlope": 2, "RescaleIntercept": -100}}
    own = [{"FrameVOILUTSequence": {"WindowCenter": centre, "WindowWidth": 300}} for centre in (40, 80)]
    told = {one.keyword: one.value for one in groups(shared=shared, own=own)}
    many = content(NumberOfFrames=2, PixelData=RAMP * 2, **told)
    for frame, centre in enumerate((40, 80)):
        one = decoded(many, frame)
        assert (one.centre, one.width) == (centre, 300)
        assert (one.low, one.high) == pytest.approx((-100, 410))


COMPRESSED = ("JPEG2000.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm")


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_images_are_shown(name):
    told, samples = decode(_read(name), 0)
    assert len(samples) == 2 * told["rows"] * told["columns"]


def test_a_colour_image_is_shown_by_its_luminance():
    told, samples = decode(_read("SC_rgb_jpeg_dcmtk.dcm"), 0)
    assert len(samples) == 2 * told["rows"] * told["columns"]


def _read(name: str) -> bytes:
    return Path(str(get_testdata_file(name, download=False))).read_bytes()


@pytest.mark.parametrize("broken", [b"", b"no DICOM at all", b"\0" * 128 + b"DICM", content()[:-100]])
def test_what_cannot_be_decoded_is_said_without_a_value_of_it(broken):
    with pytest.raises(NoPicture) as error:
        decoded(broken, 0)
    assert "CANARY" not in str(error.value)


def test_a_header_that_claims_too_much_is_refused_before_anything_is_decoded():
    with pytest.raises(CannotShowError, match="too many pixels"):
        decode(content(Rows=65535, Columns=65535), 0)


def test_a_decoding_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(picture_module, "DECODE_SECONDS", 0.01)
    with pytest.raises(NoPicture, match="too long"):
        decoded(content(), 0)


def test_a_decoder_that_dies_takes_nobody_with_it(monkeypatch):
    monkeypatch.setattr(picture_module, "module_command", lambda *_: ["/bin/false"])
    with pytest.raises(NoPicture, match="bounds"):
        decoded(content(), 0)


def test_a_picture_is_decoded_once_and_only_a_few_are_kept(monkeypatch):
    asked = []
    monkeypatch.setattr(picture_module, "decoded", lambda _, frame: asked.append(frame) or frame)
    pictures = Pictures()
    for frame in [*range(picture_module.KEPT + 1), picture_module.KEPT, 0]:
        pictures.get("digest", frame, b"")
    assert asked == [*range(picture_module.KEPT + 1), 0]


def test_a_png_holds_what_was_drawn():
    drawn = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (greys(png_of(drawn)) == drawn).all()
    assert BytesIO(png_of(drawn)).read(8) == b"\x89PNG\r\n\x1a\n"
