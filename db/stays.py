"""Stays: movements give a stay its origin, and the window from there on is judged once it is complete and quiet."""

from datetime import datetime

import sqlalchemy as sa

from db.commit import Commit, Outcome
from db.course import Course, Movement, replay
from db.gather import attach, bring, gather, write
from db.people import same_person
from db.retract import retract
from db.settle import settle
from db.tables import cases, movements
from stream.arrival import Arrival, Move

#: The case of a stay: ``stay:`` and the hash of the visit.
PREFIX = "stay:"


def move(commit: Commit, arrival: Arrival, ask: Move, input_id: int) -> Outcome:
    """Record a movement and let the stay's course follow from all that are known."""
    query = sa.select(cases).where(cases.c.case_key == PREFIX + ask.stay).with_for_update()
    case = commit.connection.execute(query).mappings().first()
    before, after = _record(commit, arrival, ask, input_id)
    if after.origin is None:
        return _without_origin(commit, case)
    if case is None:
        case_id = _open(commit, arrival, ask, after.origin)
        attach(commit, case_id, [input_id])
        _bring(commit, arrival, case_id, after.origin)
        return Outcome("collecting")
    return _go_on(commit, arrival, ask, input_id, case, before, after)


def _record(commit: Commit, arrival: Arrival, ask: Move, input_id: int) -> tuple[Course, Course]:
    """The stay's course without and with this movement; one that is told again is not recorded again."""
    told = _movements(commit.connection, ask.stay)
    recorded_at = ask.recorded_at or commit.now
    movement = Movement(kind=ask.kind, at=ask.at, recorded_at=recorded_at, intensive=ask.intensive, person=ask.person)
    if movement not in told:
        row = {**vars(movement), "patient_key": arrival.patient_key, "stay": ask.stay, "input_id": input_id}
        commit.connection.execute(sa.insert(movements), row)
    return replay(told), replay([*told, movement])


def _movements(connection: sa.Connection, stay: str) -> list[Movement]:
    columns = [movements.c[name] for name in ("kind", "at", "recorded_at", "intensive", "person")]
    query = sa.select(*columns).where(movements.c.stay == stay).order_by(movements.c.id)
    return [Movement(**row) for row in connection.execute(query).mappings()]


def left_at(connection: sa.Connection, stay: str, origin: datetime) -> datetime | None:
    """When the patient left intensive care after ``origin``: a discharge, or a transfer to another kind of location."""
    course = replay(_movements(connection, stay))
    return course.left_at if course.origin == origin else None


def _go_on(
    commit: Commit, arrival: Arrival, ask: Move, input_id: int, case: sa.RowMapping, before: Course, after: Course
) -> Outcome:
    """A movement of a stay that is known: judged again where its origin, its facts or whether it is complete have changed."""
    assert after.origin
    moved = case["origin_at"] != after.origin
    facts = ask.facts if moved or (ask.person and after.person != before.person) else {}
    changed = moved or {**case["facts"], **facts} != case["facts"]
    changed = changed or _complete(commit, before) != _complete(commit, after)
    if not changed and case["revision"] and not case["close_at"]:
        return Outcome("timeline", "nothing of the stay's window has changed")
    if moved and case["revision"]:
        retract(commit.connection, case["case_key"])
    attach(commit, case["id"], [input_id])
    write(commit.connection, {case["id"]: gather(commit, case, arrival.lane.value, origin=after.origin, facts=facts)})
    if moved:
        _bring(commit, arrival, case["id"], after.origin)
    return Outcome("collecting")


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


def _bring(commit: Commit, arrival: Arrival, case_id: int, origin: datetime) -> None:
    """Results that came before the admission's message and fall into its window belong to the stay too."""
    window = {"id": case_id, "origin_at": origin, "ends_at": origin + commit.window.length}
    bring(commit, window, same_person(commit.connection, arrival.patient_key))
