"""Stored values become greys as displayed, by the standard's steps, once each."""

import struct
import time
from io import BytesIO

import cv2
import numpy as np
import pytest
from dicom_samples import file_of, groups, palette, projection
from model_samples import dicom, jpeg, picture
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from models.pixels import read_picture, squash
from stream.errors import Rejected

RAMP = np.tile(np.arange(0, 4096, 32, dtype=np.uint16), (128, 1))


def test_eight_bits_without_a_window_are_taken_as_they_are():
    grey = picture(0)[20:60, 20:60] // 2
    assert np.array_equal(read_picture(dicom(grey)), grey)


def test_a_jpeg_wrapped_as_dicom_gives_the_pixels_of_the_jpeg():
    encoded = jpeg(picture(1))
    plain = read_picture(encoded)
    wrapped = dicom(plain, syntax=JPEGBaseline8Bit, encoded=encapsulate([encoded]), LossyImageCompression="01")
    assert np.array_equal(read_picture(wrapped), plain)
    assert np.array_equal(read_picture(dicom(plain)), plain)


def test_a_png_is_read_too():
    grey = picture(0)
    assert np.array_equal(read_picture(cv2.imencode(".png", grey)[1].tobytes()), grey)


@pytest.mark.parametrize("depth", [12, 16])
def test_a_png_of_16_bits_is_scaled_by_the_range_that_it_uses(depth):
    stored = RAMP * 2 ** (depth - 12)
    grey = read_picture(cv2.imencode(".png", stored)[1].tobytes())
    assert (grey.min(), grey.max()) == (0, 255)
    assert np.array_equal(grey, read_picture(dicom(RAMP, BitsStored=12, HighBit=11)))


def test_a_flat_png_of_16_bits_is_black():
    assert not read_picture(cv2.imencode(".png", np.full((8, 8), 300, np.uint16))[1].tobytes()).any()


def test_monochrome1_is_inverted_once():
    grey = picture(0)
    assert np.array_equal(read_picture(dicom(grey, PhotometricInterpretation="MONOCHROME1")), 255 - grey)


def test_monochrome1_that_is_also_inverse_is_still_inverted_once():
    grey = picture(0)
    both = dicom(grey, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert np.array_equal(read_picture(both), 255 - grey)
    assert np.array_equal(read_picture(dicom(grey, PresentationLUTShape="INVERSE")), 255 - grey)


def test_a_12_bit_image_is_not_read_as_8_bit():
    grey = read_picture(dicom(RAMP, BitsStored=12, HighBit=11))
    assert (grey[0, 0], grey[0, -1]) == (0, 255)
    assert np.all(np.diff(grey[0].astype(int)) >= 0)


def test_a_window_decides_what_is_black_and_white():
    grey = read_picture(dicom(RAMP, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=1024))
    assert np.all(grey[RAMP < 1536] == 0)
    assert np.all(grey[RAMP > 2560] == 255)
    assert 126 <= grey[0, 64] <= 129


def test_the_first_of_several_windows_counts():
    one = dicom(RAMP, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=1024)
    two = dicom(RAMP, BitsStored=12, HighBit=11, WindowCenter=[2048, 100], WindowWidth=[1024, 50])
    assert np.array_equal(read_picture(one), read_picture(two))


def test_the_window_is_in_rescaled_values():
    twelve = {"BitsStored": 12, "HighBit": 11, "VOILUTFunction": "LINEAR_EXACT"}
    rescaled = dicom(RAMP, **twelve, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=3096, WindowWidth=2048)
    plain = dicom(RAMP, **twelve, WindowCenter=2048, WindowWidth=1024)
    assert np.array_equal(read_picture(rescaled), read_picture(plain))


def test_a_sigmoid_window_has_its_middle_at_the_centre():
    sigmoid = dicom(RAMP, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=1024, VOILUTFunction="SIGMOID")
    assert read_picture(sigmoid)[0, 64] == 128


def test_signed_values_keep_their_order():
    grey = read_picture(dicom((RAMP.astype(np.int16) - 2048), BitsStored=12, HighBit=11))
    assert (grey[0, 0], grey[0, -1]) == (0, 255)
    assert np.all(np.diff(grey[0].astype(int)) >= 0)


def test_a_voi_table_is_looked_up():
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.LUTData = (4095 - np.arange(4096, dtype="<u2")).tobytes()
    table["LUTDescriptor"].VR, table["LUTData"].VR = "US", "OW"
    grey = read_picture(dicom(RAMP, BitsStored=12, HighBit=11, VOILUTSequence=[table]))
    assert (grey[0, 0], grey[0, -1]) == (255, 2)


@pytest.mark.parametrize("limit", [3990, 4010])
def test_padding_may_be_a_range_to_either_side(limit):
    stored = RAMP // 4 + 500
    stored[:10] = 3995 if limit < 4000 else 4005
    stored[10:12] = 4000
    grey = read_picture(dicom(stored, BitsStored=12, HighBit=11, PixelPaddingValue=4000, PixelPaddingRangeLimit=limit))
    assert np.all(grey[:12] == 0)
    assert {int(grey[12:].min()), int(grey[12:].max())} == {0, 255}


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_padding_is_left_out_of_the_range_and_black(photometric):
    stored = RAMP // 4 + 500
    stored[:10] = 4000
    grey = read_picture(dicom(stored, BitsStored=12, HighBit=11, PixelPaddingValue=4000, PhotometricInterpretation=photometric))
    assert np.all(grey[:10] == 0)
    assert {int(grey[10:].min()), int(grey[10:].max())} == {0, 255}


def enhanced(**told):
    """One frame whose functional groups say what ``told`` says."""
    said = groups(**told)
    return dicom(RAMP, BitsStored=12, HighBit=11, NumberOfFrames=1, **{one.keyword: one.value for one in said})


def test_the_functional_groups_of_an_enhanced_image_give_its_rescale_and_its_window():
    rescale, window = {"RescaleSlope": 2, "RescaleIntercept": -1024}, {"WindowCenter": 1000, "WindowWidth": 2000}
    plain = read_picture(dicom(RAMP, BitsStored=12, HighBit=11, **rescale, **window))
    both = {"PixelValueTransformationSequence": rescale, "FrameVOILUTSequence": window}
    wide = {"FrameVOILUTSequence": {"WindowCenter": 0, "WindowWidth": 9000}}
    assert np.array_equal(read_picture(enhanced(shared=both)), plain)
    assert np.array_equal(read_picture(enhanced(own=[both])), plain)
    assert np.array_equal(read_picture(enhanced(shared=both | wide, own=[{"FrameVOILUTSequence": window}])), plain)
    assert not np.array_equal(read_picture(enhanced(shared=both | wide)), plain)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_greys_is_looked_up(bits):
    inverted = palette(*([255 - value] * 3 for value in range(256)), bits=bits)
    assert read_picture(file_of(projection(**inverted))).ravel().tolist() == list(range(255, -1, -1))


def test_a_palette_with_colours_is_refused_as_any_colour_image_is():
    for colour in (
        palette(*([value, value, 0] for value in range(256))),
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    ):
        with pytest.raises(Rejected, match="a colour image: this model judges grey ones"):
            read_picture(file_of(projection(**colour)))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compression_without_loss_changes_nothing(syntax):
    plain = dicom(RAMP, BitsStored=12, HighBit=11)
    dataset = dcmread(BytesIO(plain))
    dataset.compress(syntax)
    out = BytesIO()
    dataset.save_as(out)
    assert np.array_equal(read_picture(out.getvalue()), read_picture(plain))


def test_a_file_that_claims_8_gb_from_256_bytes_is_refused_quickly():
    claims = dicom(np.zeros((16, 16), np.uint8), Rows=65535, Columns=65535, BitsAllocated=16, BitsStored=16, HighBit=15)
    began = time.monotonic()
    with pytest.raises(Rejected, match="claims"):
        read_picture(claims)
    assert time.monotonic() - began < 0.1


def test_pixels_that_claim_another_size_than_the_header_are_not_decoded():
    frame = bytearray(cv2.imencode(".jp2", picture(0, side=64))[1].tobytes())
    place = frame.index(b"\xff\x4f\xff\x51") + 8
    frame[place : place + 8] = struct.pack(">II", 40000, 40000)
    with pytest.raises(Rejected, match="two sizes"):
        read_picture(dicom(picture(0, side=64), syntax=JPEG2000Lossless, encoded=encapsulate([bytes(frame)])))


def test_a_png_that_claims_too_much_is_refused():
    content = bytearray(cv2.imencode(".png", picture(0, side=64))[1].tobytes())
    content[16:24] = struct.pack(">II", 60000, 60000)
    with pytest.raises(Rejected, match="claims too much"):
        read_picture(bytes(content))


def test_a_compressed_file_that_claims_too_much_is_refused():
    frame = encapsulate([b"\xff\x4f\xff\x51" + b"\0" * 60])
    claims = dicom(RAMP, syntax=JPEG2000Lossless, encoded=frame, Rows=20000, Columns=20000)
    with pytest.raises(Rejected, match="claims"):
        read_picture(claims)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"NumberOfFrames": 5}, "several frames: 5"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colour"),
        ({"Rows": 0}, "without rows"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "16 bits"),
    ],
)
def test_what_is_no_single_greyscale_image_is_refused_in_words(elements, reason):
    with pytest.raises(Rejected, match=reason):
        read_picture(dicom(np.zeros((64, 64), np.uint8), **elements))


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff", b"\x89PNG\r\n", b"\0" * 128 + b"DICM" + b"\1" * 50])
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(Rejected):
        read_picture(content)


def test_half_a_file_is_refused():
    with pytest.raises(Rejected):
        read_picture(dicom(RAMP)[:2000])


def test_squashing_does_not_keep_the_aspect_ratio():
    assert squash(np.full((50, 200), 7, np.uint8), 32).shape == (32, 32)
