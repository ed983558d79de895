"""Merges: two patient keys become one person, and apart again when a merge is undone.

Stays into whose window results of the other key fall are judged again, with them or without them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from db.commit import Commit, Outcome
from db.gather import Row, bring, gather, part, stays_of, write
from db.people import hold_people, same_person
from db.retract import retract
from db.tables import aliases, case_inputs, events, inputs, points
from stream.arrival import Arrival, Merge


def merge(commit: Commit, arrival: Arrival, ask: Merge, input_id: int) -> Outcome:
    """An alias that can be undone; open stays, and those that the other key's results change, are judged (again)."""
    connection, key = commit.connection, arrival.patient_key
    if ask.other == key:
        return Outcome("not_used", "a patient merged into itself")
    pair = (aliases.c.other.in_((key, ask.other))) & (aliases.c.patient_key.in_((key, ask.other))) & aliases.c.undone_at.is_(None)
    if connection.execute(sa.select(aliases.c.id).where(pair).limit(1)).first():
        return Outcome("not_used", "the two patient keys are one already")
    sides = same_person(connection, key), same_person(connection, ask.other)
    row = {"other": ask.other, "patient_key": key, "input_id": input_id, "made_at": commit.now}
    connection.execute(sa.insert(aliases), row)
    for case, foreign in _across(connection, sides):
        if bring(commit, case, foreign):
            _judge_again(commit, case)
    return Outcome("timeline", "two patient keys became one")


def undo_merge(commit: Commit, alias_id: int) -> bool:
    """Part the keys again; False when no such merge stands. What was said of a wrongly joined timeline is retracted."""
    connection = commit.connection
    hold_people(connection, alone=True)
    standing = (aliases.c.id == alias_id) & aliases.c.undone_at.is_(None)
    alias = connection.execute(sa.select(aliases).where(standing).with_for_update()).mappings().first()
    if alias is None:
        return False
    connection.execute(sa.update(aliases).where(standing).values(undone_at=commit.now))
    for case, foreign in _across(
        connection, (same_person(connection, alias["patient_key"]), same_person(connection, alias["other"]))
    ):
        if _lent(connection, case, foreign):
            part(commit, case, foreign)
            if _judged_since(connection, case, alias):
                retract(connection, case["case_key"])
            _judge_again(commit, case)
    return True


def list_merges(connection: sa.Connection) -> list[dict[str, Any]]:
    """Every merge, oldest first, those that were undone too."""
    return [dict(row) for row in connection.execute(sa.select(aliases).order_by(aliases.c.id)).mappings()]


def _across(connection: sa.Connection, sides: tuple[list[str], list[str]]) -> Iterator[tuple[Row, list[str]]]:
    """Each stay of either side with the keys of the other; nothing where other merges hold the two together."""
    if sides[0] != sides[1]:
        found = stays_of(connection, [*sides[0], *sides[1]])
        for key, stays in sorted(found.items()):
            for case in stays:
                yield case, sides[1] if key in sides[0] else sides[0]


def _judge_again(commit: Commit, case: Row) -> None:
    write(commit.connection, {case["id"]: gather(commit, case, case["lane"], origin=case["origin_at"])})


def _lent(connection: sa.Connection, case: Row, foreign: Sequence[str]) -> bool:
    """Results of the other side stand in the stay's window, or inputs of it were gathered."""
    inside = (points.c.observed_at >= case["origin_at"]) & (points.c.observed_at <= case["ends_at"])
    results = sa.select(points.c.id).where(points.c.patient_key.in_(foreign), inside)
    gathered = sa.select(inputs.c.id).where(inputs.c.id.in_(_gathered(case)), inputs.c.patient_key.in_(foreign))
    return any(connection.execute(query.limit(1)).first() for query in (results, gathered))


def _gathered(case: Row) -> sa.Select[Any]:
    return sa.select(case_inputs.c.input_id).where(case_inputs.c.case_id == case["id"])


def _judged_since(connection: sa.Connection, case: Row, alias: Row) -> bool:
    """An event of the stay was made while the merge stood."""
    since = (events.c.case_key == case["case_key"]) & (events.c.received_at >= alias["made_at"])
    return connection.execute(sa.select(events.c.id).where(since).limit(1)).first() is not None
