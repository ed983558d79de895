"""A stay's case gathers what falls into its window: whatever touches it has it judged, or judged again, once it is quiet."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from db.commit import Commit, more_urgent, promote
from db.people import same_people
from db.retract import retract
from db.rows import change_rows, read_rows, write_rows
from db.tables import case_inputs, cases, inputs, points
from db.tally import dialect_insert
from stream.queues import Lane

#: A row of ``cases``, or what is known of it.
Row = Mapping[str, Any] | sa.RowMapping


def gather(commit: Commit, case: Row, lane: str, *, origin: datetime) -> dict[str, Any]:
    """Something came for the stay: it is judged, or judged again, when it is complete and quiet. Gives the new values."""
    first = case["first_touched_at"] or commit.now
    return {
        "lane": more_urgent(case["lane"], lane),
        "facts": case["facts"],
        "touched_at": commit.now,
        "first_touched_at": first,
        "close_at": commit.window.close_at(origin=origin, now=commit.now, first_touched=first),
        "acquired_at": origin + commit.window.length,
        "origin_at": origin,
        "ends_at": origin + commit.window.length,
    }


_GATHERED = ("lane", "facts", "touched_at", "first_touched_at", "close_at", "acquired_at", "origin_at", "ends_at")
_UPDATE = sa.update(cases).where(cases.c.id == sa.bindparam("case")).values({name: sa.bindparam(name) for name in _GATHERED})


def write(connection: sa.Connection, gathered: Mapping[int, dict[str, Any]]) -> None:
    """Write what ``gather`` gave, by the case's id."""
    if gathered:
        change_rows(connection, _UPDATE, [{"case": case_id, **values} for case_id, values in sorted(gathered.items())])


def attach(commit: Commit, case_id: int, input_ids: Sequence[int]) -> None:
    """These inputs belong to the case; the same one may be named again."""
    _attach_all(commit, [{"case_id": case_id, "input_id": input_id} for input_id in input_ids])


def _attach_all(commit: Commit, rows: Sequence[dict[str, int]]) -> None:
    write_rows(commit.connection, _attach_statement(commit.connection.dialect.name), rows)


@cache
def _attach_statement(dialect: str) -> sa.Insert:
    return dialect_insert(dialect, case_inputs).on_conflict_do_nothing()


def bring(commit: Commit, case: Row, keys: Sequence[str]) -> list[int]:
    """Results of these patient keys that are here already and fall into the window belong to the stay; gives their inputs' ids."""
    own = points.c.patient_key.in_(keys)
    inside = (points.c.observed_at >= case["origin_at"]) & (points.c.observed_at <= case["ends_at"])
    found = list(commit.connection.execute(sa.select(points.c.input_id).where(own, inside).distinct()).scalars())
    attach(commit, case["id"], found)
    waiting = inputs.c.id.in_(found) & (inputs.c.disposition == "timeline")
    moved = sa.update(inputs).where(waiting).values(disposition="collecting").returning(inputs.c.feed)
    for feed in commit.connection.execute(moved).scalars():
        commit.counts["inputs", (feed, "timeline")] -= 1
        commit.counts["inputs", (feed, "collecting")] += 1
    return found


def part(commit: Commit, case: Row, foreign: Sequence[str]) -> None:
    """Inputs of others no longer belong to the stay; those that waited for nothing else are kept on the timeline.

    Those of the same commit stay with it: they get their disposition after this, and the next event has to settle them.
    """
    theirs = sa.select(inputs.c.id).where(inputs.c.patient_key.in_(foreign), inputs.c.disposition.in_(("collecting", "in_event")))
    lent = (case_inputs.c.case_id == case["id"]) & case_inputs.c.input_id.in_(theirs)
    parted = commit.connection.execute(sa.delete(case_inputs).where(lent).returning(case_inputs.c.input_id)).scalars().all()
    elsewhere = (
        sa.select(case_inputs.c.input_id).join(cases, cases.c.id == case_inputs.c.case_id).where(cases.c.close_at.is_not(None))
    )
    alone = inputs.c.id.in_(parted) & (inputs.c.disposition == "collecting") & inputs.c.id.not_in(elsewhere)
    moved = sa.update(inputs).where(alone).values(disposition="timeline").returning(inputs.c.feed)
    for feed in commit.connection.execute(moved).scalars():
        commit.counts["inputs", (feed, "collecting")] -= 1
        commit.counts["inputs", (feed, "timeline")] += 1


@dataclass(frozen=True, kw_only=True)
class Touch:
    """Results of one patient changed at ``times`` by one input; those at ``removed`` were taken back.

    ``moved_to``: the patient who has them now, where they had been filed under another one.
    """

    patient_key: str
    lane: Lane
    input_id: int
    times: frozenset[datetime]
    removed: frozenset[datetime]
    moved_to: str = ""


def touch(commit: Commit, touches: Sequence[Touch]) -> set[int]:
    """The stays whose window holds a change are judged (again); what was said with a removed result is retracted.

    Gives the ids of the inputs that belong to a stay: a result that left a patient does not belong to that one's stay.
    """
    people = same_people(commit.connection, {one.patient_key for one in touches})
    found = stays_of(commit.connection, {key for keys in people.values() for key in keys})
    gathered: dict[int, dict[str, Any]] = {}
    attached: list[dict[str, int]] = []
    for one in touches:
        keys = people[one.patient_key]
        left = bool(one.moved_to) and one.moved_to not in keys
        removed = one.removed if left or not one.moved_to else frozenset[datetime]()
        for case in [case for key in keys for case in found.get(key, ())]:
            inside = {at for at in one.times if case["origin_at"] <= at <= case["ends_at"]}
            if inside:
                gathered[case["id"]] = _touch_one(commit, case, one.lane, retracted=not removed.isdisjoint(inside))
                attached += [] if left else [{"case_id": case["id"], "input_id": one.input_id}]
    _attach_all(commit, attached)
    write(commit.connection, gathered)
    return {row["input_id"] for row in attached}


def _touch_one(commit: Commit, case: dict[str, Any], lane: Lane, *, retracted: bool) -> dict[str, Any]:
    if retracted:
        retract(commit.connection, case["case_key"])
    values = gather(commit, case, lane.value, origin=case["origin_at"])
    if values["lane"] != case["lane"]:
        promote(commit, case["case_key"], values["lane"])
    case.update(values)
    return values


_OWN = cases.c.patient_key.in_(sa.bindparam("keys", expanding=True)) & (cases.c.modality == "lab") & cases.c.origin_at.is_not(None)
_STAYS = sa.select(cases).where(_OWN).order_by(cases.c.id).with_for_update()
_NAMES = tuple(column.name for column in cases.c)


def stays_of(connection: sa.Connection, keys: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Patient key → its stays with an origin, locked."""
    found: dict[str, list[dict[str, Any]]] = {}
    if keys:
        for values in read_rows(connection, _STAYS, keys=list(keys)):
            row = dict(zip(_NAMES, values, strict=True))
            found.setdefault(row["patient_key"], []).append(row)
    return found
