"""Documents: each version that may be read is an event; an edit supersedes, a cancel retracts."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from db.commit import Commit, Outcome, more_urgent, promote
from db.retract import retract
from db.settle import settle
from db.tables import case_inputs, cases
from stream.arrival import Arrival, CancelNote, WriteNote


def write(commit: Commit, arrival: Arrival, ask: WriteNote, input_id: int) -> Outcome:
    """A new document, an edit, or a change of its availability alone."""
    query = sa.select(cases).where(cases.c.case_key == ask.case_key).with_for_update()
    case = commit.connection.execute(query).mappings().first()
    if ask.text is None and (case is None or not case["digest"]):
        return Outcome("not_used", "a status for a document that is not here")
    if case and ask.version_at and case["version_at"] and ask.version_at < case["version_at"]:
        return Outcome("not_used", "an older version of a document that is known")
    digest = ask.text.digest if ask.text else str(case["digest"]) if case else ""
    if ask.text:
        commit.keep([ask.text])
    if case and case["revision"] > case["retracted_revision"] and case["digest"] == digest:
        promote(commit, ask.case_key, arrival.lane.value)
        return Outcome("not_used", "duplicate: the document is known with this text")
    revision = (case["revision"] if case else 0) + (1 if ask.available else 0)
    lane = more_urgent(case["lane"], arrival.lane.value) if case else arrival.lane.value
    values = {
        "modality": "note",
        "lane": lane,
        "feed": arrival.feed,
        "patient_key": arrival.patient_key,
        "revision": revision,
        "facts": {**(case["facts"] if case else {}), **ask.facts},
        "digest": digest,
        "acquired_at": ask.acquired_at or (case["acquired_at"] if case else None),
        "version_at": ask.version_at or (case["version_at"] if case else None),
        "touched_at": commit.now,
    }
    case_id = _save(commit.connection, case["id"] if case else None, values, ask.case_key)
    if not ask.available:
        commit.connection.execute(sa.insert(case_inputs), {"case_id": case_id, "input_id": input_id})
        return Outcome("collecting", "the document waits to be released")
    copied = ("modality", "lane", "feed", "patient_key", "revision", "facts", "digest", "acquired_at")
    row = {name: values[name] for name in copied}
    row |= {
        "case_key": ask.case_key,
        "received_at": commit.now,
        "as_of": values["acquired_at"] or commit.now,
        "gather_seconds": 0.0,
    }
    (event_id,) = commit.add_events([row])
    settle(commit.connection, case_id, commit.counts, disposition="in_event", event_id=event_id)
    return Outcome("in_event", event_id=event_id)


def _save(connection: sa.Connection, case_id: int | None, values: Mapping[str, Any], case_key: str) -> int:
    if case_id is not None:
        connection.execute(sa.update(cases).where(cases.c.id == case_id).values(**values))
        return case_id
    row = {**values, "case_key": case_key, "opened_at": values["touched_at"]}
    new_id: int = connection.execute(sa.insert(cases).returning(cases.c.id), row).scalar_one()
    return new_id


def cancel(commit: Commit, ask: CancelNote) -> Outcome:
    """The document is taken back; what was or will be said of its versions so far is retracted."""
    if not retract(commit.connection, ask.case_key):
        return Outcome("not_used", "a cancel for a document that is not here")
    case_id = commit.connection.execute(sa.select(cases.c.id).where(cases.c.case_key == ask.case_key)).scalar_one()
    settle(commit.connection, case_id, commit.counts, disposition="timeline", event_id=None, reason="its document was cancelled")
    return Outcome("timeline", "a document was cancelled")
