"""Documents: each version that may be read is an event; an edit supersedes, a cancel retracts."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from db.commit import Commit, Outcome, more_urgent, promote
from db.gather import Row
from db.people import are_two
from db.retract import retract
from db.settle import settle
from db.tables import case_inputs, cases, document_aliases, inputs
from db.tally import insert_for
from stream.arrival import Arrival, CancelNote, WriteNote
from stream.facts import AGE_YEARS, DEFAULTS, SEX


def write(commit: Commit, arrival: Arrival, ask: WriteNote, input_id: int) -> Outcome:
    """A new document, an edit, a replacement, or a change of its availability alone."""
    if ask.known_as and not _replace(commit, ask):
        return Outcome("not_used", "a later text of the document that replaces it is known")
    case: Row | None = _find(commit.connection, ask.case_key)
    if why := _overtaken(case, ask):
        return Outcome("not_used", why)
    if case and not arrival.by_id_alone and are_two(commit.connection, case["patient_key"], arrival.patient_key):
        case = _take_from_patient(commit, case)
    values = _values(commit, arrival, ask, case)
    if ask.text:
        commit.keep([ask.text])
    known = case and case["revision"] > case["retracted_revision"] and case["digest"] == values["digest"]
    if case and known and not (ask.available and _waits(commit.connection, case["id"])):
        promote(commit, case["case_key"], arrival.lane.value)
        _save(commit.connection, case["id"], {"version_at": values["version_at"]}, case["case_key"])
        return Outcome("not_used", "duplicate: the document is known with this text")
    case_key = case["case_key"] if case else ask.case_key
    case_id = _save(commit.connection, case["id"] if case else None, values, case_key)
    if not ask.available:
        commit.connection.execute(sa.insert(case_inputs), {"case_id": case_id, "input_id": input_id})
        return Outcome("collecting", "the document waits to be released")
    event_id = _ask(commit, arrival, case_key, values)
    settle(commit.connection, case_id, commit.counts, disposition="in_event", event_id=event_id)
    return Outcome("in_event", event_id=event_id)


def _take_from_patient(commit: Commit, case: Row) -> Row:
    """It was filed under the wrong patient: what was said of it is retracted, and nothing known of that one stays with it."""
    retract(commit.connection, case["case_key"])
    words = "its document is another patient's"
    settle(commit.connection, case["id"], commit.counts, disposition="timeline", event_id=None, reason=words)
    theirs = {AGE_YEARS, SEX, DEFAULTS, *case["facts"].get(DEFAULTS, ())}
    facts = {name: value for name, value in case["facts"].items() if name not in theirs}
    return {**case, "facts": facts, "retracted_revision": case["revision"]}


def _overtaken(case: Row | None, ask: WriteNote) -> str:
    """Why this version changes nothing, after what is known of its document; empty when it does.

    Without dates the order of arrival holds, but a cancel came after some text: where that was not here, the text is what
    was cancelled.
    """
    if case is None:
        return "" if ask.text else "a status for a document that is not here"
    cancelled, at, known_at = not case["digest"], ask.version_at, case["version_at"]
    if cancelled and (ask.text is None or (at <= known_at if at and known_at else not case["revision"])):
        return "its document was cancelled"
    return "an older version of a document that is known" if at and known_at and at < known_at else ""


def _find(connection: sa.Connection, case_key: str) -> sa.RowMapping | None:
    """The document's case, locked: its own, or the one of the document that it replaced."""
    alias = sa.select(document_aliases.c.case_key).where(document_aliases.c.known_as == case_key).scalar_subquery()
    query = sa.select(cases).where(cases.c.case_key == sa.func.coalesce(alias, case_key)).with_for_update()
    return connection.execute(query).mappings().first()


def _replace(commit: Commit, ask: WriteNote) -> bool:
    """From now on both numbers name one case. False when an edit of the new number came first: its case holds, the old one ends."""
    replaced, replacing = _find(commit.connection, ask.case_key), _find(commit.connection, ask.known_as)
    known_as, case_key = ask.known_as, replaced["case_key"] if replaced else ask.case_key
    overtaken = replacing is not None and replacing["case_key"] != case_key
    if replacing and overtaken:
        known_as, case_key = case_key, replacing["case_key"]
    if replaced and overtaken:
        retract(commit.connection, replaced["case_key"])
        words = "its document was replaced"
        settle(commit.connection, replaced["id"], commit.counts, disposition="timeline", event_id=None, reason=words)
    if replaced or ask.text:
        statement = insert_for(commit.connection, document_aliases).on_conflict_do_nothing()
        commit.connection.execute(statement, {"known_as": known_as, "case_key": case_key})
    return not overtaken


def _values(commit: Commit, arrival: Arrival, ask: WriteNote, case: Row | None) -> dict[str, Any]:
    """What the case holds from now on."""
    old = dict(case) if case else {"revision": 0, "lane": arrival.lane.value, "facts": {}, "digest": ""}
    return {
        "modality": "note",
        "lane": more_urgent(old["lane"], arrival.lane.value),
        "feed": arrival.feed,
        "patient_key": arrival.patient_key,
        "revision": old["revision"] + (1 if ask.available else 0),
        "facts": {**old["facts"], **ask.facts},
        "digest": ask.text.digest if ask.text else old["digest"],
        "acquired_at": ask.acquired_at or old.get("acquired_at"),
        "version_at": (ask.text and ask.version_at) or old.get("version_at"),
        "touched_at": commit.now,
    }


def _ask(commit: Commit, arrival: Arrival | None, case_key: str, values: Mapping[str, Any]) -> int:
    copied = ("modality", "lane", "feed", "patient_key", "revision", "facts", "digest", "acquired_at")
    row = {name: values[name] for name in copied}
    as_of = values["acquired_at"] or commit.now
    row |= {"case_key": case_key, "received_at": commit.now, "as_of": as_of, "gather_seconds": 0.0}
    row["accept_seconds"] = commit.waited.get(id(arrival))
    (event_id,) = commit.add_events([row])
    return event_id


def judge_again(commit: Commit, case: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """More is known of the patient: what stands of the document is judged again with it, as its next revision."""
    stands = case["digest"] and case["revision"] > case["retracted_revision"] and not _waits(commit.connection, case["id"])
    values = {**case, "facts": facts, "revision": case["revision"] + bool(stands)}
    kept = {"facts": values["facts"], "revision": values["revision"]}
    commit.connection.execute(sa.update(cases).where(cases.c.id == case["id"]).values(kept))
    if stands:
        _ask(commit, None, case["case_key"], values)


def _waits(connection: sa.Connection, case_id: int) -> bool:
    """Its latest text is not released yet: that is judged then, and not before."""
    own = inputs.c.id.in_(sa.select(case_inputs.c.input_id).where(case_inputs.c.case_id == case_id))
    return connection.execute(sa.select(inputs.c.id).where(own, inputs.c.disposition == "collecting").limit(1)).first() is not None


def _save(connection: sa.Connection, case_id: int | None, values: Mapping[str, Any], case_key: str) -> int:
    if case_id is not None:
        connection.execute(sa.update(cases).where(cases.c.id == case_id).values(**values))
        return case_id
    row = {**values, "case_key": case_key, "opened_at": values["touched_at"]}
    new_id: int = connection.execute(sa.insert(cases).returning(cases.c.id), row).scalar_one()
    return new_id


def cancel(commit: Commit, arrival: Arrival, ask: CancelNote) -> Outcome:
    """The document is taken back; what was or will be said of its versions so far is retracted.

    A case remembers the cancel of a document that is not here, since its text may come late.
    """
    case = _find(commit.connection, ask.case_key)
    if case is None:
        row = {"modality": "note", "lane": arrival.lane.value, "feed": arrival.feed, "patient_key": arrival.patient_key}
        _save(commit.connection, None, {**row, "version_at": ask.version_at, "touched_at": commit.now}, ask.case_key)
        return Outcome("timeline", "the cancel of a document that is not here is remembered")
    if ask.version_at and case["version_at"] and ask.version_at < case["version_at"]:
        return Outcome("not_used", "an older version of a document that is known")
    _save(commit.connection, case["id"], {"digest": "", "version_at": ask.version_at or case["version_at"]}, case["case_key"])
    retract(commit.connection, case["case_key"])
    settle(commit.connection, case["id"], commit.counts, disposition="timeline", event_id=None, reason="its document was cancelled")
    return Outcome("timeline", "a document was cancelled")
