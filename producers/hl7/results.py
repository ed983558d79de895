"""ORU^R01: each OBX that holds a number becomes a result on the patient's timeline, or a refused point with its reason."""

from collections.abc import Sequence
from datetime import datetime

from producers.hl7.observation import REMOVED, WITHOUT_VALUE, Observation, observations
from producers.hl7.reading import Reading
from producers.hl7.values import is_numeric, read_value
from stream.arrival import MOST_CODE, AddResults, RefusedPoint, Result
from stream.errors import Refused
from stream.points import FLAG_PRELIMINARY, FLAG_REPEATED_HOUR

_TAKEN = {"F", "", "C", "P"}  # OBX-11, table 0085
_CORRECTED = "C"

#: An OBX, and the result that it became.
_Read = tuple[Observation, Result]


def read_results(reading: Reading) -> AddResults | None:
    """All numeric results of a message; None when it has none."""
    found: list[_Read] = []
    refused: list[RefusedPoint] = []
    for seen in observations(reading):
        try:
            result = _result(seen)
        except Refused as error:
            refused.append(_refused(seen, error))
            result = _corrected(seen)
        found += [(seen, result)] if result else []
    if not found and not refused:
        return None
    return AddResults(results=_without_comments(found), refused=tuple(refused))


def _refused(seen: Observation, error: Refused) -> RefusedPoint:
    where = f"OBX^{seen.place}^{error.where or 5}"
    return RefusedPoint(code=seen.code[:MOST_CODE], reason=error.reason, where=where, observed_at=seen.observed_at)


def _without_comments(found: Sequence[_Read]) -> tuple[Result, ...]:
    """What has no value takes nothing from a value of the same result in its message: many send their remarks so.

    Such a remark without a time says nothing of an earlier value either.
    """
    valued = {(one.base, one.observed_at) for _, one in found if one.value is not None}
    bases = {base for base, _ in valued}

    def is_comment(seen: Observation, one: Result) -> bool:
        if one.observed_at is None:
            return one.base in bases and not _takes_back(seen)
        return (one.base, one.observed_at) in valued

    return tuple(one for seen, one in found if one.value is not None or not is_comment(seen, one))


def _takes_back(seen: Observation) -> bool:
    """It is no remark: a removal, or the correction of a number."""
    return seen.status in REMOVED or (seen.status == _CORRECTED and is_numeric(seen.segment))


def _result(seen: Observation) -> Result | None:
    """None: no number and no analyte. Raises Refused for a point that is not taken."""
    code, status, analytes = seen.code, seen.status, seen.reading.feeds.analytes
    if code not in analytes.by_code and (status in WITHOUT_VALUE or not is_numeric(seen.segment)):
        return None
    canonical = analytes.canonical(code)
    if status in REMOVED or status in WITHOUT_VALUE:
        return _version(seen, canonical, seen.observed_at, only_known=status in WITHOUT_VALUE)
    if status not in _TAKEN:
        raise Refused("status not taken", where="11")
    value, flags = read_value(seen.reading, seen.segment, code)
    observed = seen.observed()
    flags |= FLAG_PRELIMINARY if status == "P" else 0
    flags |= FLAG_REPEATED_HOUR if observed.repeated_hour else 0
    return _version(seen, canonical, observed.at, value, flags)


def _corrected(seen: Observation) -> Result | None:
    """A correction that cannot be read still says that what it corrects is wrong; None for anything else."""
    analyte = seen.reading.feeds.analytes.by_code.get(seen.code)
    if analyte is None or seen.status != _CORRECTED:
        return None
    return _version(seen, analyte.codes[0], seen.observed_at)


def _version(
    seen: Observation, code: str, at: datetime | None, value: float | None = None, flags: int = 0, *, only_known: bool = False
) -> Result:
    available_at, version_at, sent_at = seen.times()
    return Result(
        base=seen.base(at or version_at),
        code=code,
        value=value,
        flags=flags,
        observed_at=at,
        available_at=available_at,
        version_at=version_at,
        sent_at=sent_at,
        only_known=only_known,
    )
