"""Series: instances gather in a case until the source's count is reached or nothing more has come for a while."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.commit import Commit, Outcome, more_urgent, promote
from db.tables import case_inputs, cases, inputs
from stream.arrival import Arrival, JoinSeries


def join(commit: Commit, arrival: Arrival, ask: JoinSeries, input_id: int) -> Outcome:
    """Add one instance; a late one opens the case again and so makes the next revision."""
    if _same_instance(commit.connection, arrival, input_id):
        return Outcome("not_used", "the same identity with other content", conflict=True)
    case = commit.connection.execute(sa.select(cases).where(cases.c.case_key == ask.case_key).with_for_update()).mappings().first()
    case_id: int = case["id"] if case else _open(commit, arrival, ask)
    commit.connection.execute(sa.insert(case_inputs), {"case_id": case_id, "input_id": input_id})
    lane = more_urgent(case["lane"], arrival.lane.value) if case else arrival.lane.value
    values = {
        "touched_at": commit.now,
        "first_touched_at": (case["first_touched_at"] if case else None) or commit.now,
        "close_at": _close_at(commit, case_id, ask),
        "lane": lane,
    }
    commit.connection.execute(sa.update(cases).where(cases.c.id == case_id).values(values))
    if case:
        promote(commit, ask.case_key, lane)
    return Outcome("collecting")


def _same_instance(connection: sa.Connection, arrival: Arrival, input_id: int) -> bool:
    query = sa.select(inputs.c.id).where(inputs.c.identity == arrival.identity, inputs.c.id != input_id).limit(1)
    return connection.execute(query).first() is not None


def _open(commit: Commit, arrival: Arrival, ask: JoinSeries) -> int:
    row: dict[str, Any] = {
        "case_key": ask.case_key,
        "modality": "scan",
        "lane": arrival.lane.value,
        "feed": arrival.feed,
        "patient_key": arrival.patient_key,
        "facts": dict(ask.facts),
        "opened_at": commit.now,
        "touched_at": commit.now,
        "quiet_seconds": ask.quiet_seconds,
        "expected": ask.expected,
        "acquired_at": ask.acquired_at,
    }
    case_id: int = commit.connection.execute(sa.insert(cases).returning(cases.c.id), row).scalar_one()
    return case_id


def _close_at(commit: Commit, case_id: int, ask: JoinSeries) -> datetime:
    if ask.expected:
        count = sa.select(sa.func.count()).select_from(case_inputs).where(case_inputs.c.case_id == case_id)
        if commit.connection.execute(count).scalar_one() >= ask.expected:
            return commit.now
    return commit.now + timedelta(seconds=ask.quiet_seconds)
