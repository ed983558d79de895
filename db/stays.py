"""Stays: movements give a stay its origin, and the window from there on is judged once it is complete and quiet."""

from collections.abc import Collection, Mapping, Sequence
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
    _gather(commit, case, arrival.lane.value, origin=origin, facts=ask.facts)
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


def _gather(commit: Commit, case: sa.RowMapping, lane: str, *, origin: datetime, facts: Mapping[str, Any] | None = None) -> None:
    """Something came for the stay: it is judged, or judged again, when it is complete and quiet."""
    first = case["first_touched_at"] or commit.now
    values = {
        "lane": more_urgent(case["lane"], lane),
        "facts": {**case["facts"], **(facts or {})},
        "touched_at": commit.now,
        "first_touched_at": first,
        "close_at": commit.window.close_at(origin=origin, now=commit.now, first_touched=first),
        "acquired_at": origin + commit.window.length,
        "origin_at": origin,
        "ends_at": origin + commit.window.length,
    }
    commit.connection.execute(sa.update(cases).where(cases.c.id == case["id"]).values(values))


def _attach(commit: Commit, case_id: int, input_ids: Sequence[int]) -> None:
    statement = insert_for(commit.connection, case_inputs).on_conflict_do_nothing()
    if input_ids:
        commit.connection.execute(statement, [{"case_id": case_id, "input_id": input_id} for input_id in input_ids])


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


def touch(
    commit: Commit, arrival: Arrival, observed: Collection[datetime], input_id: int, *, removed: Collection[datetime]
) -> bool:
    """Results changed at these times: the stays whose window holds one are judged (again); True if there was one.

    ``removed``: those that were taken back; what was said with them is retracted.
    """
    if not observed:
        return False
    own = cases.c.patient_key.in_(same_person(commit.connection, arrival.patient_key)) & (cases.c.modality == "lab")
    overlaps = (cases.c.origin_at <= max(observed)) & (cases.c.ends_at >= min(observed))
    query = sa.select(cases).where(own, overlaps).with_for_update()
    touched = False
    for case in commit.connection.execute(query).mappings().all():
        if not any(case["origin_at"] <= at <= case["ends_at"] for at in observed):
            continue
        if any(case["origin_at"] <= at <= case["ends_at"] for at in removed):
            retract(commit.connection, case["case_key"])
        _attach(commit, case["id"], [input_id])
        _gather(commit, case, arrival.lane.value, origin=case["origin_at"])
        touched = True
    return touched


def merge(commit: Commit, arrival: Arrival, ask: Merge, input_id: int) -> Outcome:
    """Two keys are one person: an alias that can be undone; stays of either are judged again with all results."""
    if ask.other == arrival.patient_key:
        return Outcome("not_used", "a patient merged into itself")
    row = {"other": ask.other, "patient_key": arrival.patient_key, "input_id": input_id, "made_at": commit.now}
    commit.connection.execute(sa.insert(aliases), row)
    own = cases.c.patient_key.in_(same_person(commit.connection, arrival.patient_key)) & (cases.c.modality == "lab")
    query = sa.select(cases).where(own, cases.c.origin_at.is_not(None)).with_for_update()
    for case in commit.connection.execute(query).mappings().all():
        _gather(commit, case, case["lane"], origin=case["origin_at"])
    return Outcome("timeline", "two patient keys became one")


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
