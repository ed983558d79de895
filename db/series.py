"""Series: instances gather in a case until the source's count is reached or nothing more has come for a while.

What a source must be asked with stands in the facts of the case, so that another process goes on where one ended.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.commit import Commit, Outcome, more_urgent, promote
from db.people import are_two
from db.rows import change_rows, read_rows, write_rows
from db.tables import case_inputs, cases, inputs
from stream.arrival import Arrival, JoinSeries

#: Facts of a series whose sender can be asked: the sender's AE title, StudyInstanceUID, and the count that it gave.
SOURCE, STUDY, EXPECTED = "source", "study", "expected_instances"

PREFIX = "series:"

#: A series that its source says is not complete is waited for so many times its quiet time.
PATIENCE = 10


@dataclass(frozen=True, kw_only=True)
class OpenSeries:
    """A series that is not judged yet and whose source can be asked how many instances it has."""

    case_id: int
    study: str
    series: str
    touched_at: datetime
    silent_seconds: float
    quiet_seconds: float


def join(commit: Commit, arrival: Arrival, ask: JoinSeries, input_id: int) -> Outcome:
    """Add one instance; a late one opens the case again and so makes the next revision."""
    if read_rows(commit.connection, _OTHERS, identity=arrival.identity, number=input_id):
        return Outcome("not_used", "the same identity with other content", conflict=True)
    found = read_rows(commit.connection, _CASE, key=ask.case_key)
    case = dict(zip(_NAMES, found[0], strict=True)) if found else _open(commit, arrival, ask)
    if are_two(commit.connection, case["patient_key"], arrival.patient_key):
        return Outcome("not_used", "the series is of another patient", conflict=True)
    write_rows(commit.connection, _JOIN, [{"case_id": case["id"], "input_id": input_id}])
    lane = more_urgent(case["lane"], arrival.lane.value)
    change_rows(commit.connection, _GROW, [{"case": case["id"], "lane": lane, **_grown(commit, case, ask)}])
    if lane != case["lane"]:
        promote(commit, ask.case_key, lane)
    return Outcome("collecting")


def _grown(commit: Commit, case: Mapping[str, Any], ask: JoinSeries) -> dict[str, Any]:
    """What one more instance changes of its case."""
    expected = case["expected"] or ask.expected
    have = _instances(commit.connection, case["id"]) if expected else 0
    facts = case["facts"]
    if SOURCE in ask.facts and SOURCE not in facts:
        facts = {**facts, SOURCE: ask.facts[SOURCE], STUDY: ask.facts[STUDY]}
    return {
        "touched_at": commit.now,
        "first_touched_at": case["first_touched_at"] or commit.now,
        "close_at": _close_at(commit.now, ask.quiet_seconds, have, expected),
        "expected": None if expected and have > expected else expected,  # an old count; the source is asked again
        "facts": facts,
    }


_OTHERS = (
    sa.select(inputs.c.id).where(inputs.c.identity == sa.bindparam("identity"), inputs.c.id != sa.bindparam("number")).limit(1)
)
_NAMES = tuple(column.name for column in cases.c)
_CASE = sa.select(cases).where(cases.c.case_key == sa.bindparam("key")).with_for_update()
_JOIN = sa.insert(case_inputs)
_GROWS = ("touched_at", "first_touched_at", "close_at", "expected", "lane", "facts")
_GROW = sa.update(cases).where(cases.c.id == sa.bindparam("case")).values({name: sa.bindparam(name) for name in _GROWS})


def open_series(connection: sa.Connection, now: datetime, source: str) -> list[OpenSeries]:
    """The series of one source that wait for their time. Looks at open cases only."""
    columns = (cases.c.id, cases.c.case_key, cases.c.facts, cases.c.touched_at, cases.c.quiet_seconds)
    query = sa.select(*columns).where(cases.c.close_at > now, cases.c.case_key.startswith(PREFIX))
    return [
        OpenSeries(
            case_id=row.id,
            study=row.facts[STUDY],
            series=row.case_key.removeprefix(PREFIX),
            touched_at=row.touched_at,
            silent_seconds=(now - row.touched_at).total_seconds(),
            quiet_seconds=row.quiet_seconds,
        )
        for row in connection.execute(query)
        if row.facts.get(SOURCE) == source and row.facts.get(STUDY)
    ]


def set_expected(connection: sa.Connection, now: datetime, case_id: int, count: int) -> bool:
    """The source has ``count`` instances: a series that is complete closes now, any other stays open. True when it closes.

    A case that was closed meanwhile is left alone.
    """
    query = sa.select(cases).where(cases.c.id == case_id, cases.c.close_at.is_not(None)).with_for_update()
    case = connection.execute(query).mappings().first()
    if case is None:
        return False
    complete = _instances(connection, case_id) >= count
    longest: datetime = case["touched_at"] + timedelta(seconds=PATIENCE * case["quiet_seconds"])
    values = {"expected": count, "close_at": now if complete else longest, "facts": {**case["facts"], EXPECTED: count}}
    connection.execute(sa.update(cases).where(cases.c.id == case_id).values(values))
    return complete


def source_facts(sender: str, study: str, sources: Collection[str]) -> dict[str, Any]:
    """What a case remembers so that its source can be asked; nothing when nobody is configured to answer."""
    return {SOURCE: sender, STUDY: study} if sender in sources and study else {}


def _open(commit: Commit, arrival: Arrival, ask: JoinSeries) -> dict[str, Any]:
    row: dict[str, Any] = {
        "case_key": ask.case_key,
        "modality": "scan",
        "lane": arrival.lane.value,
        "feed": arrival.feed,
        "patient_key": arrival.patient_key,
        "facts": dict(ask.facts),
        "opened_at": commit.now,
        "touched_at": commit.now,
        "first_touched_at": commit.now,
        "quiet_seconds": ask.quiet_seconds,
        "expected": ask.expected,
        "acquired_at": ask.acquired_at,
    }
    return {**row, "id": commit.connection.execute(sa.insert(cases).returning(cases.c.id), row).scalar_one()}


def _instances(connection: sa.Connection, case_id: int) -> int:
    count = sa.select(sa.func.count()).select_from(case_inputs).where(case_inputs.c.case_id == case_id)
    have: int = connection.execute(count).scalar_one()
    return have


def _close_at(now: datetime, quiet_seconds: float, have: int, expected: int | None) -> datetime:
    """At once when the count is reached, late while it is not, after silence when there is none or it was too small."""
    if expected and have == expected:
        return now
    waits = PATIENCE if expected and have < expected else 1
    return now + timedelta(seconds=waits * quiet_seconds)
