"""The commit at the door: a group of arrivals becomes inputs, cases, points and events in one transaction.

Inputs that are judged by themselves go in as bulk statements; the others are worked one by one, in the order of arrival.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from db import merges, notes, patients, series, stays, timeline
from db.commit import Commit, Outcome, promote
from db.people import hold_people
from db.rows import change_rows, read_rows, write_rows
from db.tables import cases, inputs, refused_points
from db.tally import raise_tallies
from stream.arrival import (
    AddResults,
    Arrival,
    Ask,
    CancelNote,
    JoinSeries,
    JudgeNow,
    KnowPatient,
    Merge,
    Move,
    Receipt,
    RefusedPoint,
    TellCourse,
    WriteNote,
)
from stream.queues import Lane
from stream.window import Window

#: Of several asks of one input, the one that says most settles its disposition.
_PRECEDENCE = {"in_event": 0, "collecting": 1, "timeline": 2, "not_used": 3}


#: (identity, digest): what makes two arrivals the same input.
Name = tuple[str, str]
Receipts = dict[Name, Receipt]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What a group became: a receipt an arrival, in order, and the new events by queue.

    ``durable``: whether the disk has it; else it has after ``Database.sync``.
    """

    receipts: Sequence[Receipt]
    rings: dict[str, list[int]]
    durable: bool = True


def accept(
    connection: sa.Connection,
    now: datetime,
    arrivals: Sequence[Arrival],
    *,
    slot: str,
    window: Window,
    waited: Sequence[float] = (),
) -> Accepted:
    """Write a group; raises what the database raises, and then nothing of the group is kept.

    ``waited``: seconds since each arrival was submitted.
    """
    commit = Commit(connection=connection, now=now, window=window, waited=dict(zip(map(id, arrivals), waited, strict=False)))
    _hold(connection, arrivals)
    known = _known(connection, arrivals)
    fresh = {_name(arrival): arrival for arrival in arrivals if _name(arrival) not in known}
    for arrival in arrivals:
        if _name(arrival) in known and arrival.lane is Lane.STAT:
            _promote(commit, arrival)
        if _name(arrival) in known:
            _know_again(commit, arrival, known[_name(arrival)].input_id)
    taken = dict(zip(fresh, _take(commit, list(fresh.values())), strict=True))
    for name, arrival in fresh.items():
        commit.counts["inputs", (arrival.feed, taken[name].disposition)] += 1
    raise_tallies(connection, slot, commit.counts)
    return Accepted(receipts=list(_receipts(arrivals, known, taken)), rings=commit.rings)


def _hold(connection: sa.Connection, arrivals: Sequence[Arrival]) -> None:
    """What reads or changes whose results are whose takes its lock before any other."""
    asked = {type(ask) for arrival in arrivals for ask in arrival.asks}
    if asked & {AddResults, Move, TellCourse, Merge, KnowPatient}:
        hold_people(connection, alone=bool(asked & {Merge, KnowPatient}))


def _receipts(arrivals: Sequence[Arrival], known: Receipts, taken: Receipts) -> Iterator[Receipt]:
    """In order; an arrival that stands twice in the group is known the second time."""
    seen: set[Name] = set()
    for arrival in arrivals:
        name = _name(arrival)
        receipt = known.get(name) or taken[name]
        yield replace(receipt, known=True) if name in seen else receipt
        seen.add(name)


def _name(arrival: Arrival) -> Name:
    return arrival.identity, arrival.content.digest


_KNOWN = sa.select(inputs.c.identity, inputs.c.digest, inputs.c.id, inputs.c.disposition, inputs.c.reason).where(
    inputs.c.identity.in_(sa.bindparam("identities", expanding=True))
)
#: By the patient too, whose index finds them.
_REFUSED_THEN = (
    sa.select(refused_points.c.input_id, refused_points.c.code, refused_points.c.reason)
    .join(inputs, (inputs.c.id == refused_points.c.input_id) & (inputs.c.patient_key == refused_points.c.patient_key))
    .where(inputs.c.id.in_(sa.bindparam("inputs", expanding=True)))
    .order_by(refused_points.c.id)
)


def _known(connection: sa.Connection, arrivals: Sequence[Arrival]) -> Receipts:
    """Receipts of those that were accepted before."""
    found = read_rows(connection, _KNOWN, identities=list({arrival.identity for arrival in arrivals}))
    with_points = {_name(arrival) for arrival in arrivals if any(isinstance(ask, AddResults) for ask in arrival.asks)}
    ids = [number for identity, digest, number, _, _ in found if (identity, digest) in with_points]
    refused: dict[int, list[RefusedPoint]] = {}
    for number, code, reason in read_rows(connection, _REFUSED_THEN, inputs=ids):
        refused.setdefault(number, []).append(RefusedPoint(code=code, reason=reason))
    return {
        (identity, digest): Receipt(
            input_id=number, disposition=disposition, reason=reason, known=True, refused=tuple(refused.get(number, ()))
        )
        for identity, digest, number, disposition, reason in found
    }


def _promote(commit: Commit, arrival: Arrival) -> None:
    for ask in arrival.asks:
        if isinstance(ask, JudgeNow | JoinSeries | WriteNote):
            promote(commit, ask.case_key, arrival.lane.value)


def _know_again(commit: Commit, arrival: Arrival, input_id: int) -> None:
    """A Patient that is sent again is remembered for as long as a new one."""
    for ask in arrival.asks:
        if isinstance(ask, KnowPatient):
            patients.know(commit, arrival, ask, input_id)


def _take(commit: Commit, arrivals: Sequence[Arrival]) -> list[Receipt]:
    commit.keep([arrival.content for arrival in arrivals])
    event_ids = _judge_now(commit, arrivals)
    input_ids = _insert_inputs(commit, arrivals, event_ids)
    outcomes = _settle(commit, arrivals, input_ids, event_ids)
    patients.join_late(commit, arrivals, input_ids)
    return [
        Receipt(
            input_id=input_id,
            disposition=outcome.disposition,
            reason=outcome.reason,
            conflict=outcome.conflict,
            refused=arrival.refused,
        )
        for arrival, input_id, outcome in zip(arrivals, input_ids, outcomes, strict=True)
    ]


def _judge_now(commit: Commit, arrivals: Sequence[Arrival]) -> list[int | None]:
    """Cases and events of all inputs that are judged by themselves; the event's id beside each arrival."""
    asked = [(place, a, ask) for place, a in enumerate(arrivals) for ask in a.asks if isinstance(ask, JudgeNow)]
    ids: list[int | None] = [None] * len(arrivals)
    if not asked:
        return ids
    taken = {key for (key,) in read_rows(commit.connection, _TAKEN, case_keys=[ask.case_key for _, _, ask in asked])}
    places: list[int] = []
    rows: list[dict[str, Any]] = []
    for place, arrival, ask in asked:
        if ask.case_key not in taken:
            taken.add(ask.case_key)
            places.append(place)
            rows.append(_event_row(arrival, ask, commit))
    write_rows(commit.connection, _OPEN, [_case_row(row, commit.now) for row in rows])
    for place, event_id in zip(places, commit.add_events(rows), strict=True):
        ids[place] = event_id
    return ids


_TAKEN = sa.select(cases.c.case_key).where(cases.c.case_key.in_(sa.bindparam("case_keys", expanding=True)))
_OPEN = sa.insert(cases)


def _event_row(arrival: Arrival, ask: JudgeNow, commit: Commit) -> dict[str, Any]:
    return {
        "case_key": ask.case_key,
        "revision": 1,
        "modality": ask.modality,
        "lane": arrival.lane.value,
        "feed": arrival.feed,
        "patient_key": arrival.patient_key,
        "received_at": commit.now,
        "acquired_at": ask.acquired_at,
        "as_of": ask.acquired_at or commit.now,
        "facts": dict(ask.facts),
        "digest": arrival.content.digest,
        "accept_seconds": commit.waited.get(id(arrival)),
        "gather_seconds": 0.0,
    }


def _case_row(event: dict[str, Any], now: datetime) -> dict[str, Any]:
    copied = ("case_key", "modality", "lane", "feed", "patient_key", "revision", "facts", "digest", "acquired_at")
    return {**{name: event[name] for name in copied}, "opened_at": now, "touched_at": now}


def _insert_inputs(commit: Commit, arrivals: Sequence[Arrival], event_ids: Sequence[int | None]) -> list[int]:
    rows = [
        {
            "feed": arrival.feed,
            "sender_id": arrival.sender_id,
            "identity": arrival.identity,
            "digest": arrival.content.digest,
            "size": arrival.content.size,
            "patient_key": arrival.patient_key,
            "accepted_at": commit.now,
            "event_id": event_id,
            "disposition": expected.disposition,
            "reason": expected.reason,
        }
        for arrival, event_id in zip(arrivals, event_ids, strict=True)
        for expected in (_expected(arrival, event_id),)
    ]
    made = {(identity, digest): number for identity, digest, number in write_rows(commit.connection, _INSERT, rows)}
    return [made[_name(arrival)] for arrival in arrivals]


_INSERT = sa.insert(inputs).returning(inputs.c.identity, inputs.c.digest, inputs.c.id)


def _expected(arrival: Arrival, event_id: int | None) -> Outcome:
    """With which disposition an input is written; most keep it, so that no further statement is needed."""
    if event_id:
        return Outcome("in_event", event_id=event_id)
    return Outcome("timeline") if _only_results(arrival) else Outcome("not_used", arrival.not_used)


def _settle(
    commit: Commit, arrivals: Sequence[Arrival], input_ids: Sequence[int], event_ids: Sequence[int | None]
) -> list[Outcome]:
    """Do what remains to be asked, in order, and write each input's disposition. Neighbours with results go together."""
    outcomes: list[Outcome] = []
    changed: list[tuple[int, Outcome]] = []
    rest = list(zip(arrivals, input_ids, event_ids, strict=True))
    for only_results, run in groupby(rest, key=lambda one: _only_results(one[0])):
        group = list(run)
        if only_results:
            laid = [timeline.Laid(arrival, arrival.asks[0], input_id) for arrival, input_id, _ in group]  # type: ignore[arg-type]
            done = timeline.add_results(commit, laid)
        else:
            done = [Outcome("in_event") if event_id else _follow(commit, arrival, number) for arrival, number, event_id in group]
        changed += [
            (number, outcome)
            for (arrival, number, event_id), outcome in zip(group, done, strict=True)
            if not event_id and outcome != _expected(arrival, None)
        ]
        outcomes += done
    _write_dispositions(commit.connection, changed)
    return outcomes


def _only_results(arrival: Arrival) -> bool:
    return len(arrival.asks) == 1 and isinstance(arrival.asks[0], AddResults)


_DISPOSE = (
    sa.update(inputs)
    .where(inputs.c.id == sa.bindparam("input"))
    .values(disposition=sa.bindparam("disposition"), reason=sa.bindparam("reason"), event_id=sa.bindparam("event_id"))
)


def _write_dispositions(connection: sa.Connection, changed: Sequence[tuple[int, Outcome]]) -> None:
    rows = [
        {"input": number, "disposition": outcome.disposition, "reason": outcome.reason, "event_id": outcome.event_id}
        for number, outcome in changed
    ]
    change_rows(connection, _DISPOSE, rows)


def _follow(commit: Commit, arrival: Arrival, input_id: int) -> Outcome:
    """Do what the arrival asks, one ask after the other; the one that says most settles the input's disposition."""
    if not arrival.asks:
        return Outcome("not_used", arrival.not_used)
    return min((_do(commit, arrival, ask, input_id) for ask in arrival.asks), key=lambda one: _PRECEDENCE[one.disposition])


def _do(commit: Commit, arrival: Arrival, ask: Ask, input_id: int) -> Outcome:
    match ask:
        case JudgeNow():
            return Outcome("not_used", "the same identity with other content", conflict=True)
        case JoinSeries():
            return series.join(commit, arrival, ask, input_id)
        case WriteNote():
            return notes.write(commit, arrival, ask, input_id)
        case CancelNote():
            return notes.cancel(commit, arrival, ask)
        case AddResults():
            return timeline.add_results(commit, [timeline.Laid(arrival, ask, input_id)])[0]
        case Move():
            return stays.move(commit, arrival, ask, input_id)
        case TellCourse():
            return stays.tell(commit, arrival, ask, input_id)
        case KnowPatient():
            return patients.know(commit, arrival, ask, input_id)
        case Merge():
            return merges.merge(commit, arrival, ask, input_id)
