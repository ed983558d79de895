"""What is in the ledger, for people and for ``/metrics``: needs no running process, only the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.tables import aliases, cases, events, findings, inputs, predictions, workers

#: How the reason of a dead event begins that somebody has dropped.
DROPPED = "dropped: "

DISPOSITIONS = ("collecting", "in_event", "timeline", "not_used")
STATES = ("waiting", "delayed", "leased", "done", "dead")
OUTCOMES = ("predicted", "rejected", "unmatched")


def status(connection: sa.Connection, now: datetime) -> dict[str, Any]:
    """The whole, in numbers that add up: accepted = the dispositions, received = the states."""
    dispositions = _count(connection, inputs.c.disposition)
    states = _states(connection, now)
    return {
        "inputs": {"accepted": sum(dispositions.values())} | {name: dispositions.get(name, 0) for name in DISPOSITIONS},
        "events": {"received": sum(states.values())} | {name: states.get(name, 0) for name in STATES},
        "outcomes": _outcomes(connection),
        "queues": queues(connection, now),
        "workers": live_workers(connection, now),
    }


def _count(connection: sa.Connection, column: sa.Column[Any]) -> dict[str, int]:
    return {name: int(number) for name, number in connection.execute(sa.select(column, sa.func.count()).group_by(column))}


def _states(connection: sa.Connection, now: datetime) -> dict[str, int]:
    query = sa.select(_state(now), sa.func.count()).group_by("shown")
    return {name: int(number) for name, number in connection.execute(query)}


def _state(now: datetime) -> sa.Label[str]:
    """``waiting`` with a time still to come is ``delayed``; grouped by as ``shown``."""
    delayed = (events.c.state == "waiting") & (events.c.not_before > now)
    return sa.case((delayed, sa.literal_column("'delayed'")), else_=events.c.state).label("shown")


def _outcomes(connection: sa.Connection) -> dict[str, int]:
    done = sa.select(events.c.outcome, sa.func.count()).where(events.c.state == "done").group_by(events.c.outcome)
    return {**dict.fromkeys(OUTCOMES, 0), **{name: int(number) for name, number in connection.execute(done)}}


def queues(connection: sa.Connection, now: datetime) -> list[dict[str, Any]]:
    """Depth and age of each queue that has work; grows with what is open, never with what is done."""
    open_states = events.c.state.in_(("waiting", "leased"))
    columns = (
        events.c.modality,
        events.c.lane,
        sa.func.sum(sa.case((events.c.state == "waiting", 1), else_=0)).label("waiting"),
        sa.func.sum(sa.case((events.c.state == "leased", 1), else_=0)).label("leased"),
        sa.func.min(sa.case((events.c.state == "waiting", events.c.received_at))).label("oldest"),
    )
    query = (
        sa.select(*columns).where(open_states).group_by(events.c.modality, events.c.lane).order_by(events.c.modality, events.c.lane)
    )
    return [
        {
            "modality": row.modality,
            "lane": row.lane,
            "waiting": int(row.waiting),
            "leased": int(row.leased),
            "oldest_seconds": round((now - row.oldest).total_seconds(), 3) if row.oldest else 0.0,
        }
        for row in connection.execute(query)
    ]


def depths(connection: sa.Connection, now: datetime) -> dict[tuple[str, str, str], int]:
    """(modality, lane, state) → events, for the states waiting, delayed, leased and dead (without those dropped)."""
    open_states = events.c.state.in_(("waiting", "leased", "dead"))
    query = sa.select(events.c.modality, events.c.lane, _state(now), sa.func.count()).where(open_states)
    query = query.where(~((events.c.state == "dead") & events.c.reason.like(f"{DROPPED}%")))
    rows = connection.execute(query.group_by(events.c.modality, events.c.lane, "shown"))
    return {(modality, lane, state): int(number) for modality, lane, state, number in rows}


def open_cases(connection: sa.Connection, now: datetime) -> dict[str, tuple[int, float]]:
    """Modality → (cases that gather, age in seconds of the oldest)."""
    query = sa.select(cases.c.modality, sa.func.count(), sa.func.min(cases.c.opened_at)).where(cases.c.close_at.is_not(None))
    return {
        modality: (int(number), (now - oldest).total_seconds())
        for modality, number, oldest in connection.execute(query.group_by(cases.c.modality))
    }


def live_workers(connection: sa.Connection, now: datetime) -> list[dict[str, Any]]:
    """The last incarnation of each worker by name and host, and whether its lease holds."""
    last = sa.select(sa.func.max(workers.c.id)).group_by(workers.c.name, workers.c.host)
    return [
        {
            "name": row["name"],
            "device": row["device"],
            "pid": row["pid"],
            "alive": row["ended_at"] is None and row["lease_until"] >= now,
            "progress_at": row["progress_at"],
        }
        for row in connection.execute(sa.select(workers).where(workers.c.id.in_(last)).order_by(workers.c.name)).mappings()
    ]


def list_events(connection: sa.Connection, *, state: str = "", limit: int | None = None) -> list[dict[str, Any]]:
    """Events, oldest first."""
    query = sa.select(events).order_by(events.c.id).limit(limit)
    return _rows(connection, query.where(events.c.state == state) if state else query)


def list_inputs(connection: sa.Connection, *, limit: int | None = None) -> list[dict[str, Any]]:
    """Inputs, oldest first."""
    return _rows(connection, sa.select(inputs).order_by(inputs.c.id).limit(limit))


def list_predictions(
    connection: sa.Connection, *, event_id: int | None = None, patient_keys: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Predictions with their findings, oldest first."""
    query = sa.select(predictions, events.c.modality, events.c.patient_key).join(events, events.c.id == predictions.c.event_id)
    if event_id is not None:
        query = query.where(predictions.c.event_id == event_id)
    if patient_keys:
        query = query.where(events.c.patient_key.in_(patient_keys))
    rows = _rows(connection, query.order_by(predictions.c.id))
    found = _findings(connection, [row["id"] for row in rows])
    return [{**row, "findings": found.get(row["id"], [])} for row in rows]


def _findings(connection: sa.Connection, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    table: dict[int, list[dict[str, Any]]] = {}
    for start in range(0, len(ids), 500):
        query = sa.select(findings).where(findings.c.prediction_id.in_(ids[start : start + 500]))
        for row in connection.execute(query.order_by(findings.c.probability.desc())).mappings():
            table.setdefault(row["prediction_id"], []).append({name: row[name] for name in row if name != "prediction_id"})
    return table


def patient(connection: sa.Connection, key: str, keys: Sequence[str]) -> dict[str, Any]:
    """All that was said of one patient, over all modalities; ``keys``: the key with its aliases."""
    own = _rows(connection, sa.select(events).where(events.c.patient_key.in_(keys)).order_by(events.c.id))
    merged = _rows(connection, sa.select(aliases).where(aliases.c.patient_key.in_(keys) | aliases.c.other.in_(keys)))
    said = list_predictions(connection, patient_keys=keys)
    return {"patient_key": key, "keys": list(keys), "aliases": merged, "events": own, "predictions": said}


def list_dead(connection: sa.Connection) -> list[dict[str, Any]]:
    """Events that gave up, with the stage reached and the reason."""
    return list_events(connection, state="dead")


def retry_dead(connection: sa.Connection, ids: Sequence[int]) -> int:
    """Dead events wait again, with a clean sheet; returns how many there were."""
    values = {"state": "waiting", "failures": 0, "crashes": 0, "suspect": False, "done_at": None, "not_before": None}
    dead = (events.c.state == "dead") & (events.c.id.in_(ids))
    return connection.execute(sa.update(events).where(dead).values(**values, fence=events.c.fence + 1)).rowcount


def drop_dead(connection: sa.Connection, ids: Sequence[int]) -> int:
    """Say that nobody will look at these again; the rows stay, dead."""
    dead = (events.c.state == "dead") & (events.c.id.in_(ids)) & ~events.c.reason.like(f"{DROPPED}%")
    return connection.execute(sa.update(events).where(dead).values(reason=sa.literal(DROPPED).concat(events.c.reason))).rowcount


def _rows(connection: sa.Connection, query: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]
