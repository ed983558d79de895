"""The size in the header, without decoding."""

import cv2
import numpy as np
import pytest

from models.encoded import claimed_shape, has_16_bits


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".jp2"])
def test_the_size_is_the_one_that_decoding_gives(suffix):
    encoded = cv2.imencode(suffix, np.zeros((40, 70), np.uint8))[1].tobytes()
    assert claimed_shape(encoded) == (40, 70)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff\xc0\x00", b"\x89PNG\r\n", b"\xff\x4f\xff\x51\x00", b"text"])
def test_what_says_no_size_has_none(content):
    assert claimed_shape(content) is None


@pytest.mark.parametrize(
    ("suffix", "depth", "deep"), [(".png", np.uint16, True), (".png", np.uint8, False), (".jpg", np.uint8, False)]
)
def test_a_png_says_whether_it_has_16_bits(suffix, depth, deep):
    assert has_16_bits(cv2.imencode(suffix, np.zeros((4, 7), depth))[1].tobytes()) is deep
