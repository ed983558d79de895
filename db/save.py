"""Save once: verdicts of a batch in one transaction, under the fence that each claim raised."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

import sqlalchemy as sa

from db.change import change_all
from db.explanations import want
from db.leases import progress
from db.rows import append_rows, read_rows, write_rows
from db.save_counts import counts_of
from db.tables import cases, events, findings, predictions
from db.tally import raise_tallies
from stream.event import Event, GivenUp, Judged, Later, NotPredicted, Predicted


def save(
    connection: sa.Connection,
    now: datetime,
    worker_id: int,
    batch: Sequence[Judged],
    *,
    device: str,
    slot: str,
    explained: Collection[str] = (),
) -> set[int]:
    """Record what still belongs to this worker; returns the ids of those. The others were leased to somebody else.

    ``explained``: digests of the models whose predictions somebody wants explained.
    """
    progress(connection, now, worker_id)
    began = perf_counter()
    ids = _still_held(connection, worker_id, [judged.event for judged in batch])
    held = [judged for judged in batch if judged.event.id in ids]
    if held:
        revised = _lock_cases(connection, held)
        save_seconds = (perf_counter() - began) / len(held)
        change_all(connection, events, [_event_values(judged, now) | {"save_seconds": save_seconds} for judged in held])
        _supersede(connection, held)
        predicted = [judged for judged in held if isinstance(judged.verdict, Predicted)]
        said = _save_predictions(connection, now, predicted, device, revised)
        want(connection, now, [one for one, digest in said if digest in explained])
    raise_tallies(connection, slot, counts_of(batch, held))
    return ids


def _still_held(connection: sa.Connection, worker_id: int, batch: Collection[Event]) -> set[int]:
    """The events that this worker still holds under the fence that its claim raised."""
    fences = {event.id: event.fence for event in batch}
    rows = read_rows(connection, _HELD, worker=worker_id, events=list(fences))
    return {event_id for event_id, fence in rows if fence == fences[event_id]}


_HELD = (
    sa.select(events.c.id, events.c.fence)
    .where(
        events.c.holder == sa.bindparam("worker", None, type_=sa.BigInteger),
        events.c.state == "leased",
        events.c.id.in_(sa.bindparam("events", expanding=True)),
    )
    .with_for_update()
)


def _lock_cases(connection: sa.Connection, held: Sequence[Judged]) -> set[str]:
    """Two revisions of one case, saved by two workers, wait for each other here, in one order.

    Gives the keys of the cases that have gone on since these events, or were retracted.
    """
    revisions = {judged.event.case_key: judged.event.revision for judged in held}
    rows = read_rows(connection, _LOCK, case_keys=list(revisions))
    if len(revisions) < len(held):  # two revisions of one case in this batch
        return set(revisions)
    return {key for key, revision, retracted in rows if revision != revisions[key] or retracted}


_LOCK = (
    sa.select(cases.c.case_key, cases.c.revision, cases.c.retracted_revision)
    .where(cases.c.case_key.in_(sa.bindparam("case_keys", expanding=True)))
    .order_by(cases.c.id)
    .with_for_update()
)


def _statuses(connection: sa.Connection, batch: Sequence[Judged]) -> dict[int, str]:
    """With which status a prediction of each event is born.

    Asked once the batch is ``done``, so that of two revisions in one batch the older one is superseded.
    """
    if not batch:
        return {}
    newer = events.alias("newer")
    later = (newer.c.case_key == events.c.case_key) & (newer.c.revision > events.c.revision)
    saved = sa.exists().where(later, newer.c.state == "done")
    query = (
        sa.select(
            events.c.id,
            (events.c.revision <= cases.c.retracted_revision).label("retracted"),
            sa.case((cases.c.revision > events.c.revision, saved), else_=sa.false()).label("superseded"),
        )
        .join(cases, cases.c.case_key == events.c.case_key)
        .where(events.c.id.in_([judged.event.id for judged in batch]))
    )
    return {row.id: _status(row) for row in connection.execute(query)}


def _status(row: Any) -> str:
    if row.retracted:
        return "retracted"
    return "superseded" if row.superseded else "current"


def _event_values(judged: Judged, now: datetime) -> dict[str, Any]:
    event, seconds = judged.event, judged.seconds
    values: dict[str, Any] = {
        "id": event.id, "state": "done", "outcome": "", "reason": "", "stage": "", "failures": event.failures, "suspect": False,
        "not_before": None, "done_at": now, "holder": None, "fence": event.fence,
        "wait_seconds": event.waited_seconds,
        "fetch_seconds": seconds.get("fetch"), "prepare_seconds": seconds.get("prepare"),
        "infer_seconds": seconds.get("infer"),
    }  # fmt: skip
    match judged.verdict:
        case Predicted():
            values["outcome"] = "predicted"
        case NotPredicted(outcome=outcome, reason=reason):
            values |= {"outcome": outcome, "reason": reason}
        case GivenUp(reason=reason, stage=stage):
            values |= {"state": "dead", "reason": reason, "stage": stage}
        case Later(reason=reason, stage=stage, delay_seconds=delay):
            values |= {"state": "waiting", "reason": reason, "stage": stage, "done_at": None, "fence": event.fence + 1}
            values |= {"failures": event.failures + 1, "not_before": now + timedelta(seconds=delay)}
    return values


def _supersede(connection: sa.Connection, held: Sequence[Judged]) -> None:
    """What was said of an earlier revision is superseded by a later one's verdict, whatever that is."""
    for judged in held:
        event = judged.event
        if event.revision > 1 and isinstance(judged.verdict, Predicted | NotPredicted):
            older = sa.select(events.c.id).where(events.c.case_key == event.case_key, events.c.revision < event.revision)
            said = (predictions.c.event_id.in_(older)) & (predictions.c.status == "current")
            connection.execute(sa.update(predictions).where(said).values(status="superseded"))


def _save_predictions(
    connection: sa.Connection, now: datetime, batch: Sequence[Judged], device: str, revised: Collection[str]
) -> list[tuple[int, str]]:
    """Gives (id, model's digest) of each. ``revised``: keys of the cases of which another revision is known."""
    if not batch:
        return []
    statuses = _statuses(connection, [judged for judged in batch if judged.event.case_key in revised])
    rows, said = [], []
    for judged in batch:
        event, verdict = judged.event, judged.verdict
        assert isinstance(verdict, Predicted)
        said.append(verdict.judgement.findings)
        rows.append(
            {
                "event_id": event.id,
                "case_key": event.case_key,
                "model": verdict.model.name,
                "version": verdict.model.version,
                "model_digest": verdict.model.digest,
                "input_digest": event.digest,
                "status": statuses.get(event.id, "current"),
                "uncertain": verdict.judgement.uncertain,
                "as_of": event.as_of,
                "device": device,
                "created_at": now,
                "details": dict(verdict.judgement.details),
            }
        )
    ids = dict(write_rows(connection, _SAY, rows))
    found = [
        {"prediction_id": ids[row["event_id"]], **vars(finding)} for row, one in zip(rows, said, strict=True) for finding in one
    ]
    append_rows(connection, _FIND, found)
    return [(ids[row["event_id"]], str(row["model_digest"])) for row in rows]


_SAY = sa.insert(predictions).returning(predictions.c.event_id, predictions.c.id)
_FIND = sa.insert(findings)


def hand_back(connection: sa.Connection, worker_id: int, batch: Collection[Event] | None = None) -> int:
    """Return events unjudged, all that the worker holds unless a batch is named; they are no suspects and no attempt is counted."""
    held = (events.c.holder == worker_id) & (events.c.state == "leased")
    if batch is not None:
        held &= events.c.id.in_([event.id for event in batch])
    values = {"state": "waiting", "holder": None, "fence": events.c.fence + 1, "attempts": events.c.attempts - 1}
    return connection.execute(sa.update(events).where(held).values(values)).rowcount
