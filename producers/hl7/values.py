"""The number in an OBX: as sent (NM, SN, or a text that is one), in the analyte's unit, with the flag of its comparator."""

import re

from producers.hl7.message import Segment
from producers.hl7.reading import Reading
from stream.errors import Refused
from stream.points import COMPARED

#: A number as it is written, with its comparator.
_NUMBER = re.compile(r"(<=?|>=?|=)?\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")

_RATIO = re.compile(r"\d+\s*[:/]\s*\d+")
_BOUNDS = {**COMPARED, "=": 0, "": 0}
_TEXTS = {"ST", "TX", "FT", ""}


def is_numeric(segment: Segment) -> bool:
    """NM and SN by their type (OBX-2); a text when it is a number."""
    kind = segment.text(2).upper()
    return kind in {"NM", "SN"} or (kind in _TEXTS and _NUMBER.fullmatch(segment.text(5)) is not None)


def read_value(reading: Reading, segment: Segment, code: str) -> tuple[float, int]:
    """The value in the analyte's unit and the flag of its comparator; raises Refused."""
    if len(segment.repetitions(5)) > 1:
        raise Refused("more than one value")
    comparator, number = _structured(segment) if segment.text(2).upper() == "SN" else _written(segment.text(5))
    try:
        value = reading.feeds.analytes.convert(code, number, _unit(reading, segment, code))
    except Refused as error:
        raise Refused(error.reason, where="6" if "unit" in error.reason else "5") from error
    return value, _BOUNDS[comparator]


def _written(text: str) -> tuple[str, float]:
    if not text:
        raise Refused("no value")
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise Refused("a ratio or a titre" if _RATIO.fullmatch(text) else "not a number")
    return match[1] or "", float(match[2])


def _structured(segment: Segment) -> tuple[str, float]:
    """SN: comparator, number, and no separator (a titre, a ratio or a range has one)."""
    comparator, number, separator, second = (segment.text(5, component) for component in range(1, 5))
    if separator or second:
        raise Refused("a ratio or a titre")
    if comparator not in _BOUNDS:
        raise Refused("comparator not taken")
    written, value = _written(number)
    return comparator or written, value


def _unit(reading: Reading, segment: Segment, code: str) -> str:
    """OBX-6 as sent, else what the feed says of this analyte; ``10^3/uL`` is often sent without escaping its ``^``."""
    sent = segment.text(6)
    if sent in {"10", "x10"} and segment.text(6, 2)[:1].isdigit():
        return f"{sent}^{segment.text(6, 2)}"
    units = reading.config.default_units
    return sent or segment.text(6, 2) or units.get(code) or units.get(reading.feeds.analytes.canonical(code)) or ""
