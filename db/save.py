"""Save once: verdicts of a batch in one transaction, under the fence that each claim raised."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

import sqlalchemy as sa

from db.leases import check_lease
from db.tables import cases, events, findings, predictions, workers
from db.tally import Counts, raise_tallies
from stream.event import Event, GivenUp, Judged, Later, NotPredicted, Predicted

#: A rejection's reason as a label ends at its first colon, so that there are few of them.
_LABEL_LENGTH = 60


def save(connection: sa.Connection, now: datetime, worker_id: int, batch: Sequence[Judged], *, device: str, slot: str) -> set[int]:
    """Record what still belongs to this worker; returns the ids of those. The others were leased to somebody else."""
    check_lease(connection, worker_id)
    began = perf_counter()
    ids = _still_held(connection, worker_id, [judged.event for judged in batch])
    held = [judged for judged in batch if judged.event.id in ids]
    if held:
        _lock_cases(connection, held)
        save_seconds = (perf_counter() - began) / len(held)
        connection.execute(_UPDATE, [_event_values(judged, now) | {"save_seconds": save_seconds} for judged in held])
        _supersede(connection, held)
        _save_predictions(connection, now, [judged for judged in held if isinstance(judged.verdict, Predicted)], device)
    connection.execute(sa.update(workers).where(workers.c.id == worker_id).values(progress_at=now))
    raise_tallies(connection, slot, _counts(held))
    return ids


_UPDATE = (
    sa.update(events)
    .where(events.c.id == sa.bindparam("event"))
    .values(
        {
            name: sa.bindparam(name)
            for name in (
                "state", "outcome", "reason", "stage", "failures", "suspect", "not_before", "done_at", "holder",
                "wait_seconds", "fetch_seconds", "prepare_seconds", "infer_seconds", "save_seconds",
            )
        }
        | {"fence": events.c.fence + sa.bindparam("raised")}
    )
)  # fmt: skip


def _still_held(connection: sa.Connection, worker_id: int, batch: Collection[Event]) -> set[int]:
    """The events that this worker still holds under the fence that its claim raised."""
    mine = (events.c.holder == worker_id) & (events.c.state == "leased") & events.c.id.in_([event.id for event in batch])
    fences = {event.id: event.fence for event in batch}
    rows = connection.execute(sa.select(events.c.id, events.c.fence).where(mine).with_for_update())
    return {row.id for row in rows if row.fence == fences[row.id]}


def _lock_cases(connection: sa.Connection, held: Sequence[Judged]) -> None:
    """Two revisions of one case, saved by two workers, wait for each other here, in one order."""
    keys = {judged.event.case_key for judged in held}
    connection.execute(sa.select(cases.c.id).where(cases.c.case_key.in_(keys)).order_by(cases.c.id).with_for_update()).all()


def _statuses(connection: sa.Connection, batch: Sequence[Judged]) -> dict[int, str]:
    """With which status a prediction of each event is born.

    Asked once the batch is ``done``, so that of two revisions in one batch the older one is superseded.
    """
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
        "event": event.id, "outcome": "", "reason": "", "stage": "", "failures": event.failures, "suspect": False,
        "not_before": None, "done_at": now, "holder": None, "raised": 0, "state": "done",
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
            values |= {"state": "waiting", "reason": reason, "stage": stage, "done_at": None, "raised": 1}
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


def _save_predictions(connection: sa.Connection, now: datetime, batch: Sequence[Judged], device: str) -> None:
    if not batch:
        return
    statuses = _statuses(connection, batch)
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
                "status": statuses[event.id],
                "uncertain": verdict.judgement.uncertain,
                "as_of": event.as_of,
                "device": device,
                "created_at": now,
                "details": dict(verdict.judgement.details),
            }
        )
    ids = connection.execute(sa.insert(predictions).returning(predictions.c.id, sort_by_parameter_order=True), rows).scalars()
    found = [
        {"prediction_id": prediction_id, **vars(finding)} for prediction_id, one in zip(ids, said, strict=True) for finding in one
    ]
    if found:
        connection.execute(sa.insert(findings), found)


def _counts(held: Sequence[Judged]) -> Counts:
    counts: Counts = Counter()
    for judged in held:
        event = judged.event
        match judged.verdict:
            case Predicted(model=model):
                counts["events_done", (event.modality, event.lane, "predicted")] += 1
                counts["predictions", (model.name,)] += 1
            case NotPredicted(outcome=outcome, reason=reason, model=model):
                counts["events_done", (event.modality, event.lane, outcome)] += 1
                if outcome == "rejected":
                    counts["gate_rejections", (model.name if model else "", reason.split(":")[0][:_LABEL_LENGTH])] += 1
            case Later(stage=stage):
                counts["retries", (event.modality, stage)] += 1
            case GivenUp(stage=stage):
                counts["dead", (event.modality, stage)] += 1
    return counts


def hand_back(connection: sa.Connection, worker_id: int, batch: Collection[Event]) -> int:
    """Return events unjudged, for a worker that was asked to stop; they are no suspects and no attempt is counted."""
    held = (events.c.id.in_([event.id for event in batch])) & (events.c.holder == worker_id) & (events.c.state == "leased")
    values = {"state": "waiting", "holder": None, "fence": events.c.fence + 1, "attempts": events.c.attempts - 1}
    return connection.execute(sa.update(events).where(held).values(values)).rowcount
