"""A window of results in its compact form: what a stay's event freezes and a lab model's ``prepare`` reads."""

import numpy as np
from numpy.typing import NDArray

#: One result. ``code``: LOINC; ``minute``: minutes since the window's origin by observation time; ``value``: in the
#: unit that ``labs.csv`` gives for the analyte; ``flags``: a sum of the FLAG constants.
POINT = np.dtype([("code", "S12"), ("minute", "<f4"), ("value", "<f4"), ("flags", "<u2")])

FLAG_BELOW = 1  # the value is an upper bound: the result was "<value"
FLAG_ABOVE = 2  # the value is a lower bound: the result was ">value"
FLAG_PRELIMINARY = 4  # OBX-11 P, FHIR preliminary
FLAG_REPEATED_HOUR = 8  # a local time that stands twice as summer time ends, or not at all as it begins
FLAG_CORRECTED = 16  # OBX-11 C, FHIR corrected or amended

#: The comparator before a number → the flag of the value that then is the bound.
COMPARED = {"<": FLAG_BELOW, "<=": FLAG_BELOW, ">": FLAG_ABOVE, ">=": FLAG_ABOVE}


def encode_points(points: NDArray[np.void]) -> bytes:
    """The bytes of an array of ``POINT``, sorted by minute then code, so that one window has one digest."""
    return np.sort(points, order=["minute", "code"], kind="stable").tobytes()


def decode_points(data: bytes) -> NDArray[np.void]:
    """The array of ``POINT`` in ``data``; raises ValueError if its length is no multiple of a point's."""
    return np.frombuffer(data, dtype=POINT)
