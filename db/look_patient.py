"""One patient key over all modalities: its events in time, its inputs and results in numbers, the keys that are the same person."""

from typing import Any

import sqlalchemy as sa

from db.people import same_person
from db.tables import aliases, events, inputs, points

#: Events on a timeline, the newest; keys on the page that looks one up, and how many events back they are sought.
MOST = 300
KEYS = 25
_BACK = 400


def timeline(connection: sa.Connection, key: str) -> dict[str, Any]:
    """``events`` newest first, each with ``shown_at``: when it was acquired, else when its last input came."""
    keys = same_person(connection, key)
    shown_at = sa.func.coalesce(events.c.acquired_at, events.c.received_at, type_=events.c.received_at.type).label("shown_at")
    query = sa.select(events, shown_at).where(events.c.patient_key.in_(keys)).order_by(events.c.id.desc()).limit(MOST)
    own = [dict(row) for row in connection.execute(query).mappings()]
    merged = sa.select(aliases).where(aliases.c.patient_key.in_(keys) | aliases.c.other.in_(keys)).order_by(aliases.c.id)
    return {
        "keys": keys,
        "events": sorted(own, key=lambda row: (row["shown_at"], row["id"]), reverse=True),
        "inputs": _by_feed(connection, keys),
        "results": _results(connection, keys),
        "aliases": [dict(row) for row in connection.execute(merged).mappings()],
    }


def _by_feed(connection: sa.Connection, keys: list[str]) -> list[dict[str, Any]]:
    by = (inputs.c.feed, inputs.c.disposition)
    query = sa.select(*by, sa.func.count().label("n"), sa.func.max(inputs.c.accepted_at).label("last_at"))
    query = query.where(inputs.c.patient_key.in_(keys)).group_by(*by).order_by(*by)
    return [dict(row) for row in connection.execute(query).mappings()]


def _results(connection: sa.Connection, keys: list[str]) -> list[dict[str, Any]]:
    """How many results of each code stand on the timeline."""
    number = sa.func.count().label("n")
    query = sa.select(points.c.code, number, sa.func.max(points.c.observed_at).label("last_at"))
    query = query.where(points.c.patient_key.in_(keys), points.c.value.is_not(None))
    return [dict(row) for row in connection.execute(query.group_by(points.c.code).order_by(number.desc())).mappings()]


def newest_patients(connection: sa.Connection) -> list[dict[str, Any]]:
    """Keys of the newest events, each once."""
    columns = (events.c.patient_key, events.c.modality, events.c.received_at)
    query = sa.select(*columns).where(events.c.patient_key != "").order_by(events.c.id.desc()).limit(_BACK)
    found: dict[str, dict[str, Any]] = {}
    for row in connection.execute(query).mappings():
        one = found.setdefault(
            row["patient_key"], {"key": row["patient_key"], "last_at": row["received_at"], "modalities": set(), "n": 0}
        )
        one["modalities"].add(row["modality"])
        one["n"] += 1
    return list(found.values())[:KEYS]
