"""The patient's timeline: results by identity and version, and the stays whose windows they fall into."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa

from db import gather
from db.commit import Commit, Outcome
from db.rows import read_rows, write_rows
from db.tables import analytes_seen, points, refused_points
from db.tally import dialect_insert, insert_for
from db.versions import Change, Stored, changes
from stream.arrival import AddResults, Arrival, Result

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
    changed = [changes(stored, laid.ask, patient_key=laid.arrival.patient_key, input_id=laid.input_id) for laid in batch]
    _write(commit.connection, [change for some in changed for change in some])
    _refuse(commit.connection, batch)
    _see(commit, {result.code for laid in batch for result in laid.ask.results if result.value is not None})
    told = [[change for change in some if change.told] for some in changed]
    touched = gather.touch(commit, [touch for laid, some in zip(batch, told, strict=True) for touch in _touches(laid, some)])
    return [_outcome(laid.ask, bool(some), laid.input_id in touched) for laid, some in zip(batch, told, strict=True)]


def _touches(laid: Laid, told: Sequence[Change]) -> Iterator[gather.Touch]:
    """One for each patient whose results have changed: the input's own, and whoever had them before."""
    times: dict[tuple[str, str], set[datetime]] = defaultdict(set)
    removed: dict[tuple[str, str], set[datetime]] = defaultdict(set)
    for row, old in ((change.row, change.old) for change in told):
        here = row["patient_key"]
        times[here, ""].add(row["observed_at"])
        if old:
            had = (old["patient_key"], here if old["patient_key"] != here else "")
            times[had].add(old["observed_at"])
            if row["value"] is None or old["patient_key"] != here:
                removed[had].add(old["observed_at"])
    for (patient_key, moved_to), at in times.items():
        gone = frozenset(removed[patient_key, moved_to])
        yield gather.Touch(
            patient_key=patient_key,
            lane=laid.arrival.lane,
            input_id=laid.input_id,
            times=frozenset(at),
            removed=gone,
            moved_to=moved_to,
        )


def _outcome(ask: AddResults, told: bool, touched: bool) -> Outcome:
    if touched:
        return Outcome("collecting", _refusals(ask))
    if told:
        return Outcome("timeline", _refusals(ask))
    if any(result.value is not None for result in ask.results):
        return Outcome("not_used", "duplicate: every result is known")
    return Outcome("not_used", _refusals(ask) or ask.why or "no result with a value")


def _refusals(ask: AddResults) -> str:
    """The refused points in words, at most five of them."""
    named = [f"{point.code}: {point.reason}" for point in ask.refused]
    return "refused: " + "; ".join(named[:5] + (["…"] if len(named) > 5 else [])) if named else ""


#: What is written of a point; its id is the database's.
_NAMES = tuple(column.name for column in points.c if column.name != "id")
_BASES: sa.BindParameter[str] = sa.bindparam("bases", expanding=True)
_POINTS = sa.select(*(points.c[name] for name in _NAMES))
_TIMED = _POINTS.where(points.c.base.in_(_BASES), points.c.identity != points.c.base)
_OF_BASES = sa.union_all(_POINTS.where(points.c.identity.in_(_BASES)), _TIMED)


def _stored(connection: sa.Connection, results: Sequence[Result]) -> Stored:
    """The points of the same results that are on the timeline already."""
    base_of = {result.identity: result.base for result in results if result.identity}
    names = sorted({result.base for result in results} | set(base_of))
    stored: Stored = {}
    for start in range(0, len(names), 500):
        for values in read_rows(connection, _OF_BASES, bases=names[start : start + 500]):
            row = dict(zip(_NAMES, values, strict=True))
            stored.setdefault(base_of.get(row["identity"], row["base"]), {})[row["identity"]] = row
    return stored


def _write(connection: sa.Connection, changed: Sequence[Change]) -> None:
    rows = {change.row["identity"]: change.row for change in changed}
    if rows:
        write_rows(connection, _lay(connection.dialect.name), list(rows.values()))


@cache
def _lay(dialect: str) -> sa.Insert:
    insert = dialect_insert(dialect, points)
    new = {name: insert.excluded[name] for name in _NAMES if name != "identity"}
    return insert.on_conflict_do_update(index_elements=["identity"], set_=new)


#: What is kept of a refused point.
_REFUSED = ("code", "reason", "observed_at")


def _refuse(connection: sa.Connection, batch: Sequence[Laid]) -> None:
    rows = [
        {"patient_key": laid.arrival.patient_key, "input_id": laid.input_id, **{name: getattr(point, name) for name in _REFUSED}}
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
