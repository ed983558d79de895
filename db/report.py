"""What is in the ledger, for people and for ``/metrics``: needs no running process, only the database."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from db.tables import aliases, cases, events, findings, inputs, predictions, workers
from db.tally import read_tallies

#: How the reason of a dead event begins that somebody has dropped.
DROPPED = "dropped: "

DISPOSITIONS = ("collecting", "in_event", "timeline", "not_used")
STATES = ("waiting", "delayed", "leased", "done", "dead")
OUTCOMES = ("predicted", "rejected", "unmatched")


def status(connection: sa.Connection, now: datetime) -> dict[str, Any]:
    """The whole, in numbers that add up: accepted = the dispositions, received = the states."""
    pruned = _Pruned(connection)
    dispositions = pruned.inputs + Counter(_count(connection, inputs.c.disposition))
    states = pruned.states + Counter(_states(connection, now))
    return {
        "inputs": {"accepted": sum(dispositions.values())} | {name: dispositions.get(name, 0) for name in DISPOSITIONS},
        "events": {"received": sum(states.values())} | {name: states.get(name, 0) for name in STATES},
        "outcomes": {name: number + pruned.outcomes[name] for name, number in _outcomes(connection).items()},
        "queues": queues(connection, now),
        "workers": live_workers(connection, now),
    }


class _Pruned:
    """What retention took away, so that no number ever falls."""

    def __init__(self, connection: sa.Connection) -> None:
        tallies = read_tallies(connection)
        self.inputs, self.states, self.outcomes = Counter[str](), Counter[str](), Counter[str]()
        for (disposition,), number in tallies.get("pruned_inputs", {}).items():
            self.inputs[disposition] += number
        for (state, outcome), number in tallies.get("pruned_events", {}).items():
            self.states[state] += number
            self.outcomes[outcome] += number


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
    return _queues(_open_events(connection, now, ("waiting", "leased")), now)


def depths_and_queues(connection: sa.Connection, now: datetime) -> tuple[dict[tuple[str, str, str], int], list[dict[str, Any]]]:
    """``depths`` and ``queues`` by one reading."""
    rows = _open_events(connection, now, ("waiting", "leased", "dead"))
    return {(row.modality, row.lane, row.shown): row.number for row in rows}, _queues(rows, now)


def depths(connection: sa.Connection, now: datetime) -> dict[tuple[str, str, str], int]:
    """(modality, lane, state) → events, for the states waiting, delayed, leased and dead (without those dropped)."""
    return depths_and_queues(connection, now)[0]


def _queues(rows: Sequence[Any], now: datetime) -> list[dict[str, Any]]:
    """Here what is delayed waits too."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted((row for row in rows if row.shown != "dead"), key=lambda row: (row.modality, row.lane)):
        empty = {"modality": row.modality, "lane": row.lane, "waiting": 0, "leased": 0, "oldest_seconds": 0.0}
        queue = found.setdefault((row.modality, row.lane), empty)
        queue["leased" if row.shown == "leased" else "waiting"] += row.number
        if row.shown != "leased":
            queue["oldest_seconds"] = max(queue["oldest_seconds"], round((now - row.oldest).total_seconds(), 3))
    return list(found.values())


def _open_events(connection: sa.Connection, now: datetime, states: Sequence[str]) -> list[Any]:
    """Modality, lane, shown state, number and oldest moment of what is open; each state by its own partial index."""
    parts = []
    for state in states:
        of_state = sa.text(f"state = '{state}'")  # as the index says it: SQLite cannot know what a parameter will hold
        columns = (events.c.modality, events.c.lane, _state(now), sa.func.count().label("number"))
        part = sa.select(*columns, sa.func.min(events.c.received_at).label("oldest")).where(of_state)
        if state == "dead":
            part = part.where(~events.c.reason.like(f"{DROPPED}%"))
        parts.append(part.group_by(events.c.modality, events.c.lane, "shown"))
    return list(connection.execute(sa.union_all(*parts)))


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
            "ended_by": row["ended_by"] or "",
        }
        for row in connection.execute(sa.select(workers).where(workers.c.id.in_(last)).order_by(workers.c.name)).mappings()
    ]


def list_events(connection: sa.Connection, *, state: str = "", limit: int | None = None) -> list[dict[str, Any]]:
    """Events, oldest first."""
    query = sa.select(events).order_by(events.c.id).limit(limit)
    return _rows(connection, query.where(events.c.state == state) if state else query)


#: Of so many events that ended last the slowest are looked for.
LOOKED_AT = 10_000


def slowest_events(connection: sa.Connection, number: int) -> list[dict[str, Any]]:
    """Of the latest that are done the slowest first: ``seconds`` from the last input to the end, and those of each stage."""
    columns = [events.c[name] for name in ("id", "modality", "lane", "outcome", "attempts", "received_at", "done_at")]
    stages = [column for column in events.c if column.name.endswith("_seconds")]
    latest = sa.select(*columns, *stages).where(events.c.state == "done").order_by(events.c.id.desc()).limit(LOOKED_AT)
    rows = [
        {**row, "seconds": round((row["done_at"] - row["received_at"]).total_seconds(), 3)} for row in _rows(connection, latest)
    ]
    return sorted(rows, key=lambda row: -row["seconds"])[:number]


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
