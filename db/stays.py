"""Stays: movements give a stay its origin, and the window from there on is judged once it is complete and quiet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.commit import Commit, Outcome
from db.course import Course, Movement, replay
from db.gather import Row, attach, bring, gather, part, write
from db.people import are_two, same_person
from db.retract import retract
from db.settle import settle
from db.tables import cases, movements
from stream.arrival import Arrival, Move, TellCourse
from stream.facts import REPEATED_HOUR, SETTING

#: The case of a stay: ``stay:`` and the hash of the visit.
PREFIX = "stay:"


def move(commit: Commit, arrival: Arrival, ask: Move, input_id: int) -> Outcome:
    """Record a movement and let the stay's course follow from all that are known.

    One that is told again is recorded again only where it is of another patient now.
    """
    case, told = _read(commit.connection, ask.stay)
    movement = _movement(ask, ask.recorded_at or commit.now, arrival)
    if vars(movement) not in map(vars, told):
        _record(commit.connection, [movement], ask.stay, input_id)
    return _follow(commit, arrival, input_id, case, _Change(ask.stay, replay(told), replay([*told, movement]), ask.facts))


def tell(commit: Commit, arrival: Arrival, ask: TellCourse, input_id: int) -> Outcome:
    """What an Encounter tells takes the place of what its older versions told; the movements of others stay."""
    case, told = _read(commit.connection, ask.stay)
    own = [one for one in told if one.told_by == ask.told_by]
    if ask.version_at and any(one.recorded_at > ask.version_at for one in own):
        return Outcome("not_used", "an older version of an encounter that is known")
    if ask.why and not own:
        return Outcome("not_used", ask.why)
    recorded_at = ask.version_at or commit.now
    new = [_movement(one, recorded_at, arrival, ask.told_by) for one in ask.moves]
    # Without a movement the row says that there is none, and since when: an older version that comes late changes nothing.
    new = new or [Movement(kind="none", at=recorded_at, recorded_at=recorded_at, intensive=None, told_by=ask.told_by)]
    rest = told if ask.adds else [one for one in told if one not in own]
    if not ask.adds:
        _forget(commit.connection, ask)
    _record(commit.connection, new, ask.stay, input_id)
    after = replay([*rest, *new])
    return _follow(commit, arrival, input_id, case, _Change(ask.stay, replay(told), after, _facts_at(after.origin, ask.moves)))


@dataclass(frozen=True)
class _Change:
    """A stay's course before and after; ``facts``: age and sex, as the movement told that changed it."""

    stay: str
    before: Course
    after: Course
    facts: Mapping[str, Any]


def _facts_at(origin: datetime | None, moves: Sequence[Move]) -> Mapping[str, Any]:
    return next((one.facts for one in moves if one.at == origin), {})


def _read(connection: sa.Connection, stay: str) -> tuple[sa.RowMapping | None, list[Movement]]:
    """The stay's case, locked, and its movements in the order of their arrival."""
    query = sa.select(cases).where(cases.c.case_key == PREFIX + stay).with_for_update()
    return connection.execute(query).mappings().first(), _movements(connection, stay)


def _movement(ask: Move, recorded_at: datetime, arrival: Arrival, told_by: str | None = None) -> Movement:
    return Movement(
        kind=ask.kind,
        at=ask.at,
        recorded_at=recorded_at,
        intensive=ask.intensive,
        person=ask.person,
        repeated_hour=ask.repeated_hour or None,
        told_by=told_by,
        patient_key="" if arrival.by_id_alone else arrival.patient_key,
    )


def _record(connection: sa.Connection, told: Sequence[Movement], stay: str, input_id: int) -> None:
    connection.execute(sa.insert(movements), [{**vars(one), "stay": stay, "input_id": input_id} for one in told])


def _forget(connection: sa.Connection, ask: TellCourse) -> None:
    connection.execute(sa.delete(movements).where(movements.c.stay == ask.stay, movements.c.told_by == ask.told_by))


def _movements(connection: sa.Connection, stay: str) -> list[Movement]:
    columns = [movements.c[one.name] for one in fields(Movement)]
    query = sa.select(*columns).where(movements.c.stay == stay).order_by(movements.c.id)
    return [Movement(**row) for row in connection.execute(query).mappings()]


def left_at(connection: sa.Connection, stay: str, origin: datetime) -> datetime | None:
    """When the patient left intensive care after ``origin``: a discharge, or a transfer to another kind of location."""
    course = replay(_movements(connection, stay))
    return course.left_at if course.origin == origin else None


def _follow(commit: Commit, arrival: Arrival, input_id: int, case: sa.RowMapping | None, change: _Change) -> Outcome:
    """What a changed course means for the stay's case."""
    if change.after.origin is None:
        return _without_origin(commit, case)
    if case is not None:
        return _go_on(commit, arrival, input_id, case, change)
    case_id = _open(commit, arrival, change, change.after.origin)
    attach(commit, case_id, [input_id])
    _bring(commit, _patient(arrival, change), case_id, change.after.origin)
    return Outcome("collecting")


def _go_on(commit: Commit, arrival: Arrival, input_id: int, case: Row, change: _Change) -> Outcome:
    """A movement of a known stay: judged again where its patient, origin, facts or whether it is complete have changed."""
    before, after = change.before, change.after
    assert after.origin
    another = are_two(commit.connection, case["patient_key"], after.patient_key)
    case = _hand_over(commit, case, after.patient_key) if another else case
    moved = another or case["origin_at"] != after.origin
    told = _told(commit, arrival, case["patient_key"], change) if moved or after.person != before.person else {}
    facts = _facts({**case["facts"], **told}, after)
    changed = moved or facts != case["facts"]
    changed = changed or _complete(commit, before) != _complete(commit, after)
    if not changed and case["revision"] and not case["close_at"]:
        return Outcome("timeline", "nothing of the stay's window has changed")
    if moved and case["revision"]:
        retract(commit.connection, case["case_key"])
    attach(commit, case["id"], [input_id])
    write(commit.connection, {case["id"]: gather(commit, {**case, "facts": facts}, arrival.lane.value, origin=after.origin)})
    if moved:
        _bring(commit, case["patient_key"], case["id"], after.origin)
    return Outcome("collecting")


def _hand_over(commit: Commit, case: Row, patient_key: str) -> Row:
    """The stay is another patient's: it is filed under that one, without what was known and gathered of the former."""
    part(commit, case, same_person(commit.connection, case["patient_key"]))
    commit.connection.execute(sa.update(cases).where(cases.c.id == case["id"]).values(patient_key=patient_key))
    return {**case, "patient_key": patient_key, "facts": {SETTING: "icu"}}


def _patient(arrival: Arrival, change: _Change) -> str:
    """Whose a new stay is: a movement that comes late may still name another patient than the latest does."""
    return change.after.patient_key or arrival.patient_key


def _told(commit: Commit, arrival: Arrival, patient_key: str, change: _Change) -> Mapping[str, Any]:
    """Age and sex that the movement told, where it is of the stay's patient."""
    return {} if are_two(commit.connection, patient_key, arrival.patient_key) else change.facts


def _facts(known: Mapping[str, Any], course: Course) -> dict[str, Any]:
    kept = {name: value for name, value in known.items() if name != REPEATED_HOUR}
    return {**kept, REPEATED_HOUR: True} if course.repeated_hour else kept


def _complete(commit: Commit, course: Course) -> bool:
    """The patient was in intensive care to the window's end."""
    return course.origin is None or course.left_at is None or course.left_at >= course.origin + commit.window.length


def _without_origin(commit: Commit, case: sa.RowMapping | None) -> Outcome:
    """No admission to intensive care stands: what was judged on one is taken back."""
    if case is None:
        return Outcome("timeline", "no admission to intensive care")
    retract(commit.connection, case["case_key"])
    commit.connection.execute(sa.update(cases).where(cases.c.id == case["id"]).values(origin_at=None, ends_at=None))
    settle(commit.connection, case["id"], commit.counts, disposition="timeline", event_id=None)
    return Outcome("timeline", "the admission to intensive care was undone")


def _open(commit: Commit, arrival: Arrival, change: _Change, origin: datetime) -> int:
    patient_key = _patient(arrival, change)
    row = {
        "case_key": PREFIX + change.stay,
        "modality": "lab",
        "lane": arrival.lane.value,
        "feed": arrival.feed,
        "patient_key": patient_key,
        "facts": _facts({**_told(commit, arrival, patient_key, change), SETTING: "icu"}, change.after),
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


def _bring(commit: Commit, patient_key: str, case_id: int, origin: datetime) -> None:
    """Results that came before the admission's message and fall into its window belong to the stay too."""
    window = {"id": case_id, "origin_at": origin, "ends_at": origin + commit.window.length}
    bring(commit, window, same_person(commit.connection, patient_key))
