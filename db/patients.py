"""Patients of FHIR servers, remembered so that what came or comes without them finds whose it is, how old and which sex.

A row has two keyed hashes, the birth date and the sex; no name, no number, no address. It goes a year after the Patient was
last sent.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from db import merges, notes
from db.commit import Commit, Outcome
from db.gather import Row, gather, write
from db.people import same_person
from db.tables import aliases, cases, inputs, patients
from db.tally import insert_for
from stream.arrival import Arrival, KnowPatient, Merge
from stream.facts import AGE_YEARS, DEFAULTS, SEX

#: A Patient that was not sent again for so long is forgotten.
FORGET_AFTER = timedelta(days=365)

#: Forgotten in one commit, at most.
_FORGET_AT_ONCE = 100

#: The feeds whose resources may name a patient by a server's id alone.
_FEEDS = ("fhir", "folder")


@dataclass(frozen=True)
class Known:
    """What is remembered of a patient. ``birth_date``: as FHIR writes it, or empty."""

    patient_key: str
    birth_date: str
    sex: str


def find_patients(connection: sa.Connection, bare_keys: Collection[str]) -> dict[str, Known]:
    """Bare key → who it is, for those that are remembered."""
    query = sa.select(patients).where(patients.c.bare_key.in_(bare_keys))
    return {row.bare_key: Known(row.patient_key, row.birth_date, row.sex) for row in connection.execute(query)}


def know(commit: Commit, arrival: Arrival, ask: KnowPatient, input_id: int) -> Outcome:
    """Remember a Patient; what came before it under its bare key becomes its own, and open stays learn age and sex."""
    _forget(commit)
    if not _remember(commit, arrival, ask):
        return Outcome("not_used", "an older version of a patient that is known")
    joined = _came_before(commit, ask.bare_key) and _join(commit, arrival, ask.bare_key, input_id)
    told = _tell_cases(commit, arrival.patient_key, ask)
    return Outcome("timeline", "remembered; earlier resources are now its own" if joined or told else "the patient is remembered")


def join_late(commit: Commit, arrivals: Sequence[Arrival], input_ids: Sequence[int]) -> None:
    """Join arrivals that were read before their Patient was committed, and are committed after it."""
    late = {a.patient_key: (a, number) for a, number in zip(arrivals, input_ids, strict=True) if a.feed in _FEEDS and a.patient_key}
    for bare_key, known in (find_patients(commit.connection, late) if late else {}).items():
        arrival, input_id = late[bare_key]
        _join(commit, replace(arrival, patient_key=known.patient_key), bare_key, input_id)


def _forget(commit: Commit) -> None:
    old = sa.select(patients.c.bare_key).where(patients.c.seen_at < commit.now - FORGET_AFTER).limit(_FORGET_AT_ONCE)
    commit.connection.execute(sa.delete(patients).where(patients.c.bare_key.in_(old)))


def _remember(commit: Commit, arrival: Arrival, ask: KnowPatient) -> bool:
    """False when a newer version is there."""
    row = {
        "bare_key": ask.bare_key,
        "patient_key": arrival.patient_key,
        "birth_date": ask.birth_date,
        "sex": ask.sex,
        "version_at": ask.version_at,
        "seen_at": commit.now,
    }
    insert = insert_for(commit.connection, patients)
    new = {name: insert.excluded[name] for name in row if name != "bare_key"}
    newer = insert.excluded.version_at.is_(None) | patients.c.version_at.is_(None)
    newer |= insert.excluded.version_at >= patients.c.version_at
    statement = insert.on_conflict_do_update(index_elements=["bare_key"], set_=new, where=newer)
    return bool(commit.connection.execute(statement.returning(patients.c.bare_key), row).first())


def _came_before(commit: Commit, bare_key: str) -> bool:
    query = sa.select(inputs.c.id).where(inputs.c.patient_key == bare_key).limit(1)
    return commit.connection.execute(query).first() is not None


def _join(commit: Commit, arrival: Arrival, bare_key: str, input_id: int) -> bool:
    """Make the bare key an alias of the arrival's patient.

    Not when it is one already, of whomever: a server that corrects an identifier must not make one of two people.
    """
    joined = sa.select(aliases.c.id).where(aliases.c.other == bare_key).limit(1)
    if bare_key == arrival.patient_key or commit.connection.execute(joined).first():
        return False
    merges.merge(commit, arrival, Merge(other=bare_key), input_id)
    return True


def _tell_cases(commit: Commit, patient_key: str, ask: KnowPatient) -> bool:
    """Stays and notes of this patient whose age or sex is not known yet, or was a default, learn them and are judged again."""
    people = same_person(commit.connection, patient_key)
    stay = (cases.c.modality == "lab") & cases.c.origin_at.is_not(None)
    own = cases.c.patient_key.in_(people) & (stay | (cases.c.modality == "note"))
    told = False
    for case in commit.connection.execute(sa.select(cases).where(own).with_for_update()).mappings().all():
        if {AGE_YEARS, SEX} <= set(case["facts"]) - set(case["facts"].get(DEFAULTS, ())):
            continue
        facts = _learned(case["facts"], ask.facts_at(case["origin_at"] or case["acquired_at"] or case["opened_at"]))
        if facts != case["facts"]:
            _judge_again(commit, case, facts)
            told = True
    return told


def _judge_again(commit: Commit, case: Row, facts: dict[str, Any]) -> None:
    if case["modality"] == "note":
        notes.judge_again(commit, dict(case), facts)
    else:
        gathered = gather(commit, {**case, "facts": facts}, case["lane"], origin=case["origin_at"])
        write(commit.connection, {case["id"]: gathered})


def _learned(facts: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    defaults = set(facts.get(DEFAULTS, ())) - (set(known) - set(known.get(DEFAULTS, ())))
    learned = {name: value for name, value in known.items() if name != DEFAULTS and name not in known.get(DEFAULTS, ())}
    merged = {name: value for name, value in facts.items() if name != DEFAULTS} | learned
    return {**merged, DEFAULTS: sorted(defaults)} if defaults else merged
