"""The patient's timeline: results by identity and version, and the stays whose windows they fall into."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from db import gather
from db.commit import Commit, Outcome
from db.rows import read_rows, write_rows
from db.tables import analytes_seen, points, refused_points
from db.tally import dialect_insert, insert_for
from stream.arrival import AddResults, Arrival, Result
from stream.points import FLAG_CORRECTED

#: ``analytes_seen`` is written at most this often for one code.
_SEEN_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Laid:
    """One input's results on their way to the timeline."""

    arrival: Arrival
    ask: AddResults
    input_id: int


def add_results(commit: Commit, batch: Sequence[Laid]) -> list[Outcome]:
    """Lay the results of several inputs, in order.

    A newer version replaces an older one, and the stays that a change touches are judged again.
    """
    stored = _stored(commit.connection, [result for laid in batch for result in laid.ask.results])
    changes = [[change for result in laid.ask.results if (change := _change(stored, laid, result))] for laid in batch]
    _write(commit.connection, [change for some in changes for change in some])
    _refuse(commit.connection, batch)
    _see(commit, {result.code for laid in batch for result in laid.ask.results})
    touches = [_touch(laid, some) for laid, some in zip(batch, changes, strict=True)]
    touched = gather.touch(commit, touches)
    return [_outcome(laid.ask, some, laid.input_id in touched) for laid, some in zip(batch, changes, strict=True)]


def _touch(laid: Laid, changes: Sequence[dict[str, Any]]) -> gather.Touch:
    times = {row[name] for row in changes for name in ("observed_at", "replaced_at") if row[name]}
    removed = {row["replaced_at"] for row in changes if row["value"] is None and row["replaced_at"]}
    return gather.Touch(arrival=laid.arrival, input_id=laid.input_id, times=frozenset(times), removed=frozenset(removed))


def _outcome(ask: AddResults, changes: Sequence[dict[str, Any]], touched: bool) -> Outcome:
    if touched:
        return Outcome("collecting", _refusals(ask))
    if changes:
        return Outcome("timeline", _refusals(ask))
    if ask.results:
        return Outcome("not_used", "duplicate: every result is known")
    return Outcome("not_used", _refusals(ask) or "no result with a value")


def _refusals(ask: AddResults) -> str:
    """The refused points in words, at most five of them."""
    named = [f"{point['code']}: {point['reason']}" for point in ask.refused]
    return "refused: " + "; ".join(named[:5] + (["…"] if len(named) > 5 else [])) if named else ""


_NAMES = tuple(column.name for column in points.c)
_BASES: sa.BindParameter[str] = sa.bindparam("bases", expanding=True)
_TIMED = sa.select(points).where(points.c.base.in_(_BASES), points.c.identity != points.c.base)
_OF_BASES = sa.union_all(sa.select(points).where(points.c.identity.in_(_BASES)), _TIMED)


def _stored(connection: sa.Connection, results: Iterable[Result]) -> dict[str, dict[str, Any]]:
    """The points of the same results that are on the timeline already, by identity."""
    bases = sorted({result.base for result in results})
    rows: dict[str, dict[str, Any]] = {}
    for start in range(0, len(bases), 500):
        for values in read_rows(connection, _OF_BASES, bases=bases[start : start + 500]):
            row = dict(zip(_NAMES, values, strict=True))
            rows[row["identity"]] = row
    return rows


def _change(stored: dict[str, dict[str, Any]], laid: Laid, result: Result) -> dict[str, Any] | None:
    """The row to write, or None when the timeline knows this version or a newer one."""
    identity = _identity(stored, result)
    old = stored.get(identity)
    if old and (result.version_at < old["version_at"] or _same(old, result)):
        return None
    row = {
        "identity": identity,
        "base": result.base,
        "patient_key": laid.arrival.patient_key,
        "code": result.code,
        "value": result.value,
        "flags": result.flags | (FLAG_CORRECTED if old else 0),
        "observed_at": result.observed_at,
        "available_at": result.available_at,
        "version_at": result.version_at,
        "input_id": laid.input_id,
    }
    stored[identity] = row
    return {**row, "replaced_at": old["observed_at"] if old else None}


def _identity(stored: dict[str, dict[str, Any]], result: Result) -> str:
    """The base alone; with the observation time where the base stands, or stood, more than once in one message."""
    timed = f"{result.base}@{result.observed_at.isoformat()}"
    return timed if result.repeated or timed in stored else result.base


def _same(old: dict[str, Any], result: Result) -> bool:
    unchanged = old["value"] == result.value and old["code"] == result.code and old["observed_at"] == result.observed_at
    return bool(unchanged and old["flags"] & ~FLAG_CORRECTED == result.flags & ~FLAG_CORRECTED)


def _write(connection: sa.Connection, changes: Sequence[dict[str, Any]]) -> None:
    rows = {row["identity"]: {name: value for name, value in row.items() if name != "replaced_at"} for row in changes}
    if rows:
        write_rows(connection, _lay(connection.dialect.name), list(rows.values()))


@cache
def _lay(dialect: str) -> sa.Insert:
    insert = dialect_insert(dialect, points)
    kept = ("identity", "base", "id")
    new = {column.name: insert.excluded[column.name] for column in points.c if column.name not in kept}
    return insert.on_conflict_do_update(index_elements=["identity"], set_=new)


def _refuse(connection: sa.Connection, batch: Sequence[Laid]) -> None:
    rows = [
        {"patient_key": laid.arrival.patient_key, "input_id": laid.input_id, "code": point["code"], "reason": point["reason"]}
        for laid in batch
        for point in laid.ask.refused
    ]
    if rows:
        connection.execute(sa.insert(refused_points), rows)


_SEEN = sa.select(analytes_seen.c.code).where(analytes_seen.c.last_seen_at > sa.bindparam("since"))


def _see(commit: Commit, codes: set[str]) -> None:
    """Remember that this installation gets these analytes."""
    missing = sorted(codes - {code for (code,) in read_rows(commit.connection, _SEEN, since=commit.now - _SEEN_EVERY)})
    if missing:
        insert = insert_for(commit.connection, analytes_seen)
        statement = insert.on_conflict_do_update(index_elements=["code"], set_={"last_seen_at": insert.excluded.last_seen_at})
        commit.connection.execute(statement, [{"code": code, "last_seen_at": commit.now} for code in missing])


def analytes_not_seen_since(connection: sa.Connection, moment: datetime, codes: Iterable[str]) -> list[str]:
    """Those of ``codes`` that have not arrived since ``moment``: not connected, which is not the same as not measured."""
    seen = sa.select(analytes_seen.c.code).where(analytes_seen.c.last_seen_at > moment)
    return sorted(set(codes) - set(connection.execute(seen).scalars()))
