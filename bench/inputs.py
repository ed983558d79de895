"""What the benchmarks judge: generated inputs of each modality, as bytes and facts, the same for every design."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dxstream.hospital.course import draw_course
from dxstream.hospital.scans import scan_case
from dxstream.hospital.wording import specialties, write_note
from stream.points import POINT, encode_points

#: Facts that every reference card's intended use accepts.
FACTS: dict[str, dict[str, Any]] = {
    "scan": {"age_years": 3, "view": "AP", "modality": "DX", "body_part": "CHEST", "presentation_intent": "FOR PRESENTATION"},
    "lab": {"age_years": 60, "sex": "female", "setting": "icu", "window_complete": True},
    "note": {"document_type": "11488-4", "age_years": 60},
}


@dataclass(frozen=True, kw_only=True)
class Input:
    """One thing to judge."""

    kind: str
    content: bytes


def make_inputs(kind: str, number: int, *, seed: int = 1) -> list[Input]:
    """``number`` different inputs of a kind; making them is not part of what is timed."""
    make = {"scan": _scan, "lab": _lab, "note": _note}[kind]
    return [Input(kind=kind, content=make(seed, index)) for index in range(number)]


def _scan(seed: int, index: int) -> bytes:
    """A 512×512 uncompressed DICOM file; every tenth case of the hospital is odd and is left out."""
    case = scan_case(seed, index * 10, datetime(2026, 1, 1, tzinfo=UTC))
    return case.sendings[0].content


def _lab(seed: int, index: int) -> bytes:
    course = draw_course(np.random.default_rng([seed, index]), failing=index % 4 == 0)
    points = [(one.analyte.codes[0].encode(), one.hour * 60.0, one.value, 0) for one in course]
    return encode_points(np.array(points, dtype=POINT))


def _note(seed: int, index: int) -> bytes:
    return write_note(np.random.default_rng([seed, index]), index % len(specialties())).encode()
