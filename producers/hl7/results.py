"""ORU^R01: each OBX that holds a number becomes a result on the patient's timeline, or a refused point with its reason."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from producers.hl7.message import Segment
from producers.hl7.reading import Reading
from producers.hl7.times import TOLERANCE, Moment, first_moment, read_moment
from producers.hl7.values import NUMBER, read_value
from stream.arrival import AddResults, Result
from stream.errors import Refused
from stream.points import FLAG_PRELIMINARY, FLAG_REPEATED_HOUR

_LOINC = re.compile(r"\d{1,7}-\d")
_TEXTS = {"ST", "TX", "FT", ""}
_TAKEN = {"F", "", "C", "P"}  # OBX-11, table 0085
_REMOVED = {"D", "W"}
_WITHOUT_VALUE = {"X", "I", "N"}
_CORRECTED = "C"

#: A refused code is shown to at most so many characters.
_CODE_LENGTH = 40


@dataclass(frozen=True, kw_only=True)
class RefusedPoint:
    """``where``: the OBX in the protocol's own words. ``observed_at``: None where that cannot be told."""

    code: str
    reason: str
    where: str
    observed_at: datetime | None = None


def read_results(reading: Reading) -> tuple[AddResults | None, list[RefusedPoint]]:
    """All numeric results of a message; None when it has none. The refused points come a second time, with their places."""
    found: list[tuple[Segment, Result]] = []
    refused: list[RefusedPoint] = []
    for place, (order, segment) in enumerate(_observations(reading), start=1):
        try:
            result = _result(reading, order, segment)
        except Refused as error:
            refused.append(_refused(reading, order, segment, error, place))
            result = _corrected(reading, order, segment)
        found += [(segment, result)] if result else []
    if not found and not refused:
        return None, []
    points = tuple({"code": one.code, "reason": one.reason, "observed_at": one.observed_at} for one in refused)
    return AddResults(results=_mark_repeated(_without_comments(found)), refused=points), refused


def _refused(reading: Reading, order: Segment, segment: Segment, error: Refused, place: int) -> RefusedPoint:
    return RefusedPoint(
        code=_code(reading, segment)[:_CODE_LENGTH],
        reason=error.reason,
        where=f"OBX^{place}^{error.where or 5}",
        observed_at=_observed_or_none(reading, order, segment),
    )


def _without_comments(found: list[tuple[Segment, Result]]) -> list[Result]:
    """What has no value takes nothing from a value of the same result in its message: many send their remarks so.

    Such a remark without a time says nothing of an earlier value either.
    """
    valued = {(one.base, one.observed_at) for _, one in found if one.value is not None}
    bases = {base for base, _ in valued}

    def is_comment(segment: Segment, one: Result) -> bool:
        return (one.base, one.observed_at) in valued or (one.untimed and one.base in bases and not _takes_back(segment))

    return [one for segment, one in found if one.value is not None or not is_comment(segment, one)]


def _takes_back(segment: Segment) -> bool:
    """It is no remark: a removal, or the correction of a number."""
    status = segment.text(11).upper()
    return status in _REMOVED or (status == _CORRECTED and is_numeric(segment))


def _mark_repeated(results: list[Result]) -> tuple[Result, ...]:
    times = Counter(result.base for result in results)
    return tuple(replace(result, repeated=True) if times[result.base] > 1 else result for result in results)


def _observations(reading: Reading) -> Iterator[tuple[Segment, Segment]]:
    """Each OBX with the OBR above it (an empty one where there is none)."""
    order = Segment("OBR", reading.message.header.separators, reading.message.codec)
    for segment in reading.message.segments:
        if segment.name == "OBR":
            order = segment
        elif segment.name == "OBX":
            yield order, segment


def _result(reading: Reading, order: Segment, segment: Segment) -> Result | None:
    """None: no number and no analyte. Raises Refused for a point that is not taken."""
    code, status = _code(reading, segment), segment.text(11).upper()
    known = code in reading.feeds.analytes.by_code
    if not known and (status in _WITHOUT_VALUE or not is_numeric(segment)):
        return None
    canonical = reading.feeds.analytes.canonical(code)
    if status in _REMOVED or status in _WITHOUT_VALUE:
        return _without_value(reading, order, segment, canonical, only_known=status in _WITHOUT_VALUE)
    if status not in _TAKEN:
        raise Refused("status not taken", where="11")
    value, flags = read_value(reading, segment, code)
    observed = _observed(reading, order, segment)
    flags |= FLAG_PRELIMINARY if status == "P" else 0
    flags |= FLAG_REPEATED_HOUR if observed.doubtful else 0
    return _version(reading, order, segment, canonical, observed.at, value=value, flags=flags)


def _corrected(reading: Reading, order: Segment, segment: Segment) -> Result | None:
    """A correction that cannot be read still says that what it corrects is wrong; None for anything else."""
    analyte = reading.feeds.analytes.by_code.get(_code(reading, segment))
    if analyte is None or segment.text(11).upper() != _CORRECTED:
        return None
    return _without_value(reading, order, segment, analyte.codes[0])


def _without_value(reading: Reading, order: Segment, segment: Segment, code: str, *, only_known: bool = False) -> Result:
    """A removal needs no observation time: that of what it takes back holds, and the version's stands in for it."""
    observed_at = _observed_or_none(reading, order, segment)
    at = observed_at or _times(reading, order, segment)[1]
    return _version(reading, order, segment, code, at, only_known=only_known, untimed=observed_at is None)


def _version(
    reading: Reading,
    order: Segment,
    segment: Segment,
    code: str,
    at: datetime,
    *,
    value: float | None = None,
    flags: int = 0,
    only_known: bool = False,
    untimed: bool = False,
) -> Result:
    available_at, version_at, sent_at = _times(reading, order, segment)
    return Result(
        base=_base(reading, order, segment, at),
        code=code,
        value=value,
        flags=flags,
        observed_at=at,
        available_at=available_at,
        version_at=version_at,
        sent_at=sent_at,
        only_known=only_known,
        untimed=untimed,
    )


def is_numeric(segment: Segment) -> bool:
    """NM and SN by their type; a text when it is a number."""
    kind = segment.text(2).upper()
    return kind in {"NM", "SN"} or (kind in _TEXTS and NUMBER.fullmatch(segment.text(5)) is not None)


def _code(reading: Reading, segment: Segment) -> str:
    """LOINC: OBX-3 where it says so, else by the table of local codes, else as it looks; a local code where none is known."""
    for code, system in ((1, 3), (4, 6)):
        if segment.text(3, system).upper() in {"LN", "LOINC"}:
            return segment.text(3, code)
    sent, alternate = segment.text(3), segment.text(3, 4)
    local = reading.feeds.local_codes
    mapped = local.get(sent.upper()) or local.get(alternate.upper())
    if mapped:
        return mapped
    return alternate if _LOINC.fullmatch(alternate) and not _LOINC.fullmatch(sent) else sent


def _observed(reading: Reading, order: Segment, segment: Segment) -> Moment:
    """OBX-14, else OBR-7; raises Refused: none, a date alone, in the future."""
    sent = segment.text(14) or order.text(7)
    if not sent:
        raise Refused("no observation time", where="14")
    try:
        moment = read_moment(sent, reading.config.time_zone)
    except Refused as error:
        raise Refused(error.reason, where="14") from error
    if moment.at > reading.received_at + TOLERANCE:
        raise Refused("in the future", where="14")
    return moment


def _observed_or_none(reading: Reading, order: Segment, segment: Segment) -> datetime | None:
    try:
        return _observed(reading, order, segment).at
    except Refused:
        return None


def _times(reading: Reading, order: Segment, segment: Segment) -> tuple[datetime, datetime, datetime]:
    """When the result was to be had (OBX-19, else OBR-22, else receipt), what orders its versions, and when it was sent.

    Versions are ordered by the later of OBX-19 and OBR-22, by MSH-7 (else receipt) where there is neither. A date alone and a
    time in the future are passed over: a clock that runs ahead would shut out every later correction.
    """
    zone, now = reading.config.time_zone, reading.received_at
    reported = [one.at for field in (segment.text(19), order.text(22)) if (one := first_moment((field,), zone, now))]
    sent = first_moment((reading.message.header.text(7),), zone, now)
    sent_at = sent.at if sent else now
    return (reported[0], max(reported), sent_at) if reported else (now, sent_at, sent_at)


def _base(reading: Reading, order: Segment, segment: Segment, at: datetime) -> str:
    """The result's identity: who numbered the order, its number (OBR-3, else OBR-2), OBX-3 and OBX-4."""
    digest = reading.identities.digest
    code = segment.text(3) or segment.text(3, 4)
    for field in (3, 2):
        if number := order.text(field):
            assigner = order.text(field, 2) or order.text(field, 3) or reading.message.sender
            return digest("result", assigner, number, code, segment.text(4))
    return digest("result", reading.patient_key, at.isoformat(), code, segment.text(4))
