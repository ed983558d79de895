"""Versions of results: which point of the timeline a result is, and what it changes there. Knows no connection."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from stream.arrival import AddResults, Result
from stream.points import FLAG_CORRECTED

#: A row of ``points``.
Point = dict[str, Any]

#: What stands on the timeline: base → identity → its row.
Stored = dict[str, dict[str, Point]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """A row to write. ``old``: as it stood before, None when it is new."""

    row: Point
    old: Point | None = None

    @property
    def told(self) -> bool:
        """A value came, changed or went; False where only the version is newer, or nothing was there to take back."""
        return self.row["value"] is not None if self.old is None else not _same(self.old, self.row)


def changes(stored: Stored, ask: AddResults, *, patient_key: str, input_id: int) -> list[Change]:
    """What one input changes; ``stored`` is brought up to date, so that the next input finds it."""
    found: list[Change] = []
    if ask.whole and _outdated(stored, ask.results):
        return found
    told: set[str] = set()
    times = Counter(map(attrgetter("base"), ask.results))
    for result in sorted(ask.results, key=_is_untimed):  # those with a time first, in their order
        own = stored.setdefault(result.base, {})
        identity = result.identity or _identity(own, result, patient_key, told, repeated=times[result.base] > 1)
        told.add(identity)
        if change := _change(own, identity, result, patient_key, input_id):
            own[identity] = change.row
            found.append(change)
    if ask.whole:
        found += list(_no_longer_held(stored, ask.results, input_id))
    return found


def _is_untimed(result: Result) -> bool:
    return result.observed_at is None


def _outdated(stored: Stored, results: Sequence[Result]) -> bool:
    """A newer version of the same resource was here, whatever it held."""
    return any(row["version_at"] > one.version_at for one in results[:1] for row in stored.get(one.base, {}).values())


def _no_longer_held(stored: Stored, results: Sequence[Result], input_id: int) -> Iterator[Change]:
    """What an earlier version of the resource held and this one does not."""
    held = {result.identity for result in results}
    for one in results[:1]:
        for identity, old in stored[one.base].items():
            if identity not in held and old["value"] is not None:
                stored[one.base][identity] = _taken_back(old, one, input_id)
                yield Change(row=stored[one.base][identity], old=old)


def _change(own: Mapping[str, Point], identity: str, result: Result, patient_key: str, input_id: int) -> Change | None:
    """None when the timeline knows this version or a newer one, or has nothing that can be told to be taken back."""
    if not identity:
        return None
    old = own.get(identity)
    if old and _older(result, old):
        return None
    if result.value is None and result.only_known and old is None:
        return None
    row = _taken_back(old, result, input_id) if old and result.value is None else _laid(identity, result, patient_key, input_id)
    if old is None:
        return Change(row=row)
    if not _same(old, row):
        return Change(row={**row, "flags": row["flags"] | FLAG_CORRECTED}, old=old)
    dated = {**old, "base": result.base, "version_at": result.version_at, "sent_at": result.sent_at}
    return Change(row=dated, old=old) if dated != old else None


def _older(result: Result, old: Point) -> bool:
    """By the laboratory's own times; where one has none, or they are equal, by when the messages were sent.

    A laboratory's time is never compared with a message's: results are reported before they are sent.
    """
    sent_at = old["sent_at"]
    if (
        result.sent_at
        and sent_at
        and (result.version_at == old["version_at"] or result.version_at == result.sent_at or old["version_at"] == sent_at)
    ):
        return bool(result.sent_at < sent_at)
    return bool(result.version_at < old["version_at"])


def _laid(identity: str, result: Result, patient_key: str, input_id: int) -> Point:
    return {
        "identity": identity,
        "base": result.base,
        "patient_key": patient_key,
        "code": result.code,
        "value": result.value,
        "flags": result.flags,
        "observed_at": result.observed_at or result.version_at,
        "available_at": result.available_at,
        "version_at": result.version_at,
        "sent_at": result.sent_at,
        "input_id": input_id,
    }


def _taken_back(old: Point, result: Result, input_id: int) -> Point:
    """It stays whose and when it was: what takes a result back need not say so again."""
    new = {name: getattr(result, name) for name in ("base", "available_at", "version_at", "sent_at")}
    return {**old, **new, "value": None, "flags": FLAG_CORRECTED, "input_id": input_id}


def _identity(own: Mapping[str, Point], result: Result, patient_key: str, told: set[str], *, repeated: bool) -> str:
    """The base alone; with the observation time where the base stands, or stood, more than once in one message.

    A number that comes again with another patient and another time was used again: it is another result.
    """
    if not own and (result.observed_at is None or not repeated):
        return result.base  # nearly every result
    if result.observed_at is None:
        return _untimed(own, result, patient_key, told)
    timed = f"{result.base}@{result.observed_at.isoformat()}"
    plain = own.get(result.base)
    if timed in own:
        return timed
    if plain and plain["observed_at"] == result.observed_at:
        return result.base
    if repeated:
        return timed
    if plain is None or plain["patient_key"] == patient_key:
        return result.base
    theirs = [identity for identity, row in own.items() if row["patient_key"] == patient_key]
    return theirs[0] if len(theirs) == 1 else timed


def _untimed(own: Mapping[str, Point], result: Result, patient_key: str, told: set[str]) -> str:
    """What a removal without a time takes back: the base alone, else the only value that stands; empty where several do.

    ``told``: what its own message tells of stands, so it is another that goes.
    """
    theirs = {one: row for one, row in own.items() if one not in told and row["patient_key"] == patient_key}
    standing = [one for one, row in theirs.items() if row["value"] is not None]
    if len(standing) == 1:
        return standing[0]
    if standing:
        return result.base if result.base in standing else ""
    free = result.base in theirs or result.base not in own
    return result.base if free else f"{result.base}@{result.version_at.isoformat()}"


def _same(old: Point, row: Point) -> bool:
    unchanged = all(old[name] == row[name] for name in ("value", "code", "observed_at", "patient_key"))
    return bool(unchanged and old["flags"] & ~FLAG_CORRECTED == row["flags"] & ~FLAG_CORRECTED)
