"""Stays: movements give a stay its origin, and the window from there on is judged once it is complete and quiet."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.commit import Commit, Outcome, more_urgent
from db.retract import retract
from db.settle import settle
from db.tables import aliases, case_inputs, cases, inputs, movements, points
from db.tally import insert_for
from stream.arrival import Arrival, Merge, Move

_UNDOES = {"cancel_admit": "admit", "cancel_transfer": "transfer", "cancel_discharge": "discharge"}

#: A row of ``cases``, or what is known of it.
Row = Mapping[str, Any] | sa.RowMapping

#: The case of a stay: ``stay:`` and the hash of the visit.
PREFIX = "stay:"


def move(commit: Commit, arrival: Arrival, ask: Move, input_id: int) -> Outcome:
    """Record a movement and let the stay's origin follow from all that stand."""
    if ask.kind in _UNDOES:
        _undo(commit.connection, ask)
    elif not _stands(commit.connection, ask):
        row = {"patient_key": arrival.patient_key, "stay": ask.stay, "kind": ask.kind, "at": ask.at, "intensive": ask.intensive}
        commit.connection.execute(sa.insert(movements), {**row, "input_id": input_id})
    origin = _origin(commit.connection, ask.stay)
    query = sa.select(cases).where(cases.c.case_key == PREFIX + ask.stay).with_for_update()
    case = commit.connection.execute(query).mappings().first()
    if origin is None:
        return _without_origin(commit, case)
    if case is None:
        case_id = _open(commit, arrival, ask, origin)
        _attach(commit, case_id, [input_id])
        _attach_earlier(commit, arrival, case_id, origin)
        return Outcome("collecting")
    moved_origin = case["origin_at"] != origin
    if moved_origin and case["revision"]:
        retract(commit.connection, case["case_key"])
    _attach(commit, case["id"], [input_id])
    _write(commit.connection, {case["id"]: _gather(commit, case, arrival.lane.value, origin=origin, facts=ask.facts)})
    if moved_origin:
        _attach_earlier(commit, arrival, case["id"], origin)
    return Outcome("collecting")


def _stands(connection: sa.Connection, ask: Move) -> bool:
    """The same movement told again, in another message, is one movement: one undoing must undo it."""
    same = (movements.c.stay == ask.stay) & (movements.c.kind == ask.kind) & (movements.c.at == ask.at) & ~movements.c.cancelled
    same &= movements.c.intensive.is_(ask.intensive)
    return connection.execute(sa.select(movements.c.id).where(same).limit(1)).first() is not None


def _undo(connection: sa.Connection, ask: Move) -> None:
    """The latest movement of the kind that is undone no longer stands."""
    stands = (movements.c.stay == ask.stay) & (movements.c.kind == _UNDOES[ask.kind]) & ~movements.c.cancelled
    latest = sa.select(movements.c.id).where(stands).order_by(movements.c.at.desc(), movements.c.id.desc()).limit(1)
    connection.execute(sa.update(movements).where(movements.c.id.in_(latest)).values(cancelled=True))


def _origin(connection: sa.Connection, stay: str) -> datetime | None:
    """The first admission or transfer into intensive care that still stands."""
    stands = (movements.c.stay == stay) & ~movements.c.cancelled & movements.c.intensive
    first = sa.select(movements.c.at).where(stands, movements.c.kind.in_(("admit", "transfer"))).order_by(movements.c.at).limit(1)
    return connection.execute(first).scalar()


def left_at(connection: sa.Connection, stay: str, origin: datetime) -> datetime | None:
    """When the patient left intensive care after ``origin``: a discharge, or a transfer to another kind of location."""
    stands = (movements.c.stay == stay) & ~movements.c.cancelled & (movements.c.at > origin)
    leaves = (movements.c.kind == "discharge") | ((movements.c.kind == "transfer") & (movements.c.intensive == sa.false()))
    return connection.execute(sa.select(sa.func.min(movements.c.at).label("at")).where(stands, leaves)).scalar()


def _without_origin(commit: Commit, case: sa.RowMapping | None) -> Outcome:
    """No admission to intensive care stands: what was judged on one is taken back."""
    if case is None:
        return Outcome("timeline", "no admission to intensive care")
    retract(commit.connection, case["case_key"])
    commit.connection.execute(sa.update(cases).where(cases.c.id == case["id"]).values(origin_at=None, ends_at=None))
    settle(commit.connection, case["id"], commit.counts, disposition="timeline", event_id=None)
    return Outcome("timeline", "the admission to intensive care was undone")


def _open(commit: Commit, arrival: Arrival, ask: Move, origin: datetime) -> int:
    row = {
        "case_key": PREFIX + ask.stay,
        "modality": "lab",
        "lane": arrival.lane.value,
        "feed": arrival.feed,
        "patient_key": arrival.patient_key,
        "facts": {**ask.facts, "setting": "icu"},
        "opened_at": commit.now,
        "touched_at": commit.now,
        "first_touched_at": commit.now,
        "close_at": commit.window.close_at(origin=origin, now=commit.now, first_touched=commit.now),
        "acquired_at": origin + commit.window.length,
        "origin_at": origin,
        "ends_at": origin + commit.window.length,
    }
    case_id: int = commit.connection.execute(sa.insert(cases).returning(cases.c.id), row).scalar_one()
    return case_id


def _gather(commit: Commit, case: Row, lane: str, *, origin: datetime, facts: Row | None = None) -> dict[str, Any]:
    """Something came for the stay: it is judged, or judged again, when it is complete and quiet. Gives the new values."""
    first = case["first_touched_at"] or commit.now
    return {
        "lane": more_urgent(case["lane"], lane),
        "facts": {**case["facts"], **(facts or {})},
        "touched_at": commit.now,
        "first_touched_at": first,
        "close_at": commit.window.close_at(origin=origin, now=commit.now, first_touched=first),
        "acquired_at": origin + commit.window.length,
        "origin_at": origin,
        "ends_at": origin + commit.window.length,
    }


_GATHERED = ("lane", "facts", "touched_at", "first_touched_at", "close_at", "acquired_at", "origin_at", "ends_at")
_UPDATE = sa.update(cases).where(cases.c.id == sa.bindparam("case")).values({name: sa.bindparam(name) for name in _GATHERED})


def _write(connection: sa.Connection, gathered: Mapping[int, dict[str, Any]]) -> None:
    if gathered:
        connection.execute(_UPDATE, [{"case": case_id, **values} for case_id, values in sorted(gathered.items())])


def _attach(commit: Commit, case_id: int, input_ids: Sequence[int]) -> None:
    _attach_all(commit, [{"case_id": case_id, "input_id": input_id} for input_id in input_ids])


def _attach_all(commit: Commit, rows: Sequence[dict[str, int]]) -> None:
    if rows:
        commit.connection.execute(insert_for(commit.connection, case_inputs).on_conflict_do_nothing(), rows)


def _attach_earlier(commit: Commit, arrival: Arrival, case_id: int, origin: datetime) -> None:
    """Results that came before the admission's message and fall into its window belong to the stay too."""
    own = points.c.patient_key.in_(same_person(commit.connection, arrival.patient_key))
    inside = (points.c.observed_at >= origin) & (points.c.observed_at <= origin + commit.window.length)
    found = commit.connection.execute(sa.select(points.c.input_id).where(own, inside).distinct()).scalars().all()
    _attach(commit, case_id, found)
    waiting = inputs.c.id.in_(found) & (inputs.c.disposition == "timeline")
    moved = sa.update(inputs).where(waiting).values(disposition="collecting").returning(inputs.c.feed)
    for feed in commit.connection.execute(moved).scalars():
        commit.counts["inputs", (feed, "timeline")] -= 1
        commit.counts["inputs", (feed, "collecting")] += 1


@dataclass(frozen=True, kw_only=True)
class Touch:
    """Results of one input changed at ``times``; those at ``removed`` were taken back."""

    arrival: Arrival
    input_id: int
    times: frozenset[datetime]
    removed: frozenset[datetime]


def touch(commit: Commit, touches: Sequence[Touch]) -> set[int]:
    """The stays whose window holds a change are judged (again); what was said with a removed result is retracted.

    Gives the ids of the inputs that belong to a stay.
    """
    people = same_people(commit.connection, {one.arrival.patient_key for one in touches if one.times})
    found = _stays_of(commit.connection, {key for keys in people.values() for key in keys})
    gathered: dict[int, dict[str, Any]] = {}
    attached: list[dict[str, int]] = []
    for one in touches:
        for case in [case for key in people.get(one.arrival.patient_key, ()) for case in found.get(key, ())]:
            inside = [at for at in one.times if case["origin_at"] <= at <= case["ends_at"]]
            if inside:
                if one.removed.intersection(inside):
                    retract(commit.connection, case["case_key"])
                attached.append({"case_id": case["id"], "input_id": one.input_id})
                gathered[case["id"]] = _gather(commit, case, one.arrival.lane.value, origin=case["origin_at"])
                case.update(gathered[case["id"]])
    _attach_all(commit, attached)
    _write(commit.connection, gathered)
    return {row["input_id"] for row in attached}


def _stays_of(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Patient key → its stays with an origin, locked."""
    found: dict[str, list[dict[str, Any]]] = {}
    if keys:
        own = cases.c.patient_key.in_(keys) & (cases.c.modality == "lab") & cases.c.origin_at.is_not(None)
        for row in connection.execute(sa.select(cases).where(own).order_by(cases.c.id).with_for_update()).mappings():
            found.setdefault(row["patient_key"], []).append(dict(row))
    return found


def merge(commit: Commit, arrival: Arrival, ask: Merge, input_id: int) -> Outcome:
    """Two keys are one person: an alias that can be undone; stays of either are judged again with all results."""
    if ask.other == arrival.patient_key:
        return Outcome("not_used", "a patient merged into itself")
    row = {"other": ask.other, "patient_key": arrival.patient_key, "input_id": input_id, "made_at": commit.now}
    commit.connection.execute(sa.insert(aliases), row)
    found = _stays_of(commit.connection, same_person(commit.connection, arrival.patient_key))
    stays = [case for some in found.values() for case in some]
    _write(commit.connection, {case["id"]: _gather(commit, case, case["lane"], origin=case["origin_at"]) for case in stays})
    return Outcome("timeline", "two patient keys became one")


def same_people(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[str]]:
    """Key → every key of its person; without aliases, which is nearly always, one statement for all."""
    known = aliases.c.undone_at.is_(None) & (aliases.c.other.in_(keys) | aliases.c.patient_key.in_(keys))
    if not keys or connection.execute(sa.select(aliases.c.id).where(known).limit(1)).first() is None:
        return {key: [key] for key in keys}
    return {key: same_person(connection, key) for key in keys}


def same_person(connection: sa.Connection, patient_key: str) -> list[str]:
    """Every key of the person that ``patient_key`` names, over the aliases that stand."""
    keys = {patient_key}
    while True:
        joined = aliases.c.undone_at.is_(None) & (aliases.c.other.in_(keys) | aliases.c.patient_key.in_(keys))
        rows = connection.execute(sa.select(aliases.c.other, aliases.c.patient_key).where(joined)).all()
        more = keys.union(*rows) if rows else keys
        if more == keys:
            return sorted(keys)
        keys = more
