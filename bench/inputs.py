"""What the benchmarks judge: generated inputs of each modality, as bytes and facts, the same files for every design."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread

from dxstream.hospital.course import draw_course
from dxstream.hospital.scans import scan_case
from dxstream.hospital.wording import specialties, write_note
from stream.points import POINT, decode_points, encode_points

#: Facts that every reference card's intended use accepts.
FACTS: dict[str, dict[str, Any]] = {
    "scan": {"age_years": 3, "view": "AP", "modality": "DX", "body_part": "CHEST", "presentation_intent": "FOR PRESENTATION"},
    "lab": {"age_years": 60, "sex": "female", "setting": "icu", "window_complete": True},
    "note": {"document_type": "11488-4", "age_years": 60},
}
#: So many are drawn one by one; further ones are these with a small difference, so that no two files are the same.
DRAWN = 200


def write_inputs(kind: str, folder: Path, number: int) -> list[Path]:
    """``number`` different files of a kind; making them is not part of what is timed."""
    folder.mkdir(parents=True)
    paths = [folder / f"{place:06}" for place in range(number)]
    for path, content in zip(paths, make_inputs(kind, number), strict=True):
        path.write_bytes(content)
    return paths


def make_inputs(kind: str, number: int, *, seed: int = 1) -> Iterator[bytes]:
    """``number`` different inputs of a kind."""
    draw, vary = {"scan": (_scan, _vary_scan), "lab": (_lab, _vary_lab), "note": (_note, _vary_note)}[kind]
    drawn = [draw(seed, index) for index in range(min(number, DRAWN))]
    for place in range(number):
        again, index = divmod(place, DRAWN)
        yield vary(drawn[index], again) if again else drawn[index]


def _scan(seed: int, index: int) -> bytes:
    """A 512 by 512 uncompressed DICOM file, 12 bits in 16, with a window; the hospital's ordinary cases have 8 bits."""
    case = scan_case(seed, index * 10, datetime(2026, 1, 1, tzinfo=UTC))
    dataset = dcmread(BytesIO(case.sendings[0].content))
    stored = dataset.pixel_array.astype(np.uint16) * 8 + 1028
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.WindowCenter, dataset.WindowWidth = 2048, 2041
    dataset.PixelData = stored.tobytes()
    out = BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _vary_scan(content: bytes, again: int) -> bytes:
    """Another grey in the last pixel."""
    return content[:-2] + (1028 + 8 * (again % 255)).to_bytes(2, "little")


def _lab(seed: int, index: int) -> bytes:
    course = draw_course(np.random.default_rng([seed, index]), failing=index % 4 == 0)
    points = [(one.analyte.codes[0].encode(), one.hour * 60.0, one.value, 0) for one in course]
    return encode_points(np.array(points, dtype=POINT))


def _vary_lab(content: bytes, again: int) -> bytes:
    """Every value a little higher."""
    points = decode_points(content).copy()
    points["value"] *= 1 + again / 1e5
    return encode_points(points)


def _note(seed: int, index: int) -> bytes:
    return write_note(np.random.default_rng([seed, index]), index % len(specialties())).encode()


def _vary_note(content: bytes, again: int) -> bytes:
    """Another closing line."""
    return content + f"\nDictated and read, page {again}.".encode()
