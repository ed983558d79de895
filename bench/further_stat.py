"""Stat events while a backlog drains, beside the same ones in an idle system."""

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from design import percentile
from inputs import make_inputs
from system import System

from db.accept import accept
from db.tables import events
from stream.arrival import Arrival
from stream.content import Content
from stream.queues import Lane
from stream.ring import Bell
from stream.window import Window

#: Windows that come as stat, and how far apart, in seconds.
STAT, APART = 60, 0.1
#: Rows that one commit of the backlog holds: a writer that took longer would keep the others waiting.
GROUP = 1000


def measure(place: Any, backlog: int) -> dict[str, Any]:
    """p95 from a stat event's commit until its prediction's, by the database's clock, in milliseconds."""
    system = System(place.installation, "lab")
    stat = [system.store.begin(content) for content in make_inputs("lab", STAT, seed=2)]
    contents = [system.store.begin(content) for content in make_inputs("lab", 200)]
    idle = _p95(system, stat, "idle")
    for start in range(0, backlog, GROUP):
        some = range(start, min(start + GROUP, backlog))
        _send(system, [system.arrival(f"back-{number}", contents[number % 200], Lane.BACKLOG) for number in some])
    busy = _p95(system, stat, "busy")
    left = _waiting(system)
    batch = _batch_seconds(system)
    system.wait()
    return {
        "backlog": backlog,
        "left_at_the_end": left,
        "idle_p95_ms": round(1000 * idle, 1),
        "busy_p95_ms": round(1000 * busy, 1),
        "one_batch_ms": round(1000 * batch, 1),
        "busy_over_idle_and_one_batch": round(busy / (idle + batch), 2),
    }


def _send(system: System, arrivals: Sequence[Arrival]) -> None:
    with system.database.write() as (connection, now):
        rings = accept(connection, now, arrivals, slot="bench", window=Window()).rings
    for queue, ids in rings.items():
        Bell(system.installation.settings.redis_url).ring(queue, ids)


def _p95(system: System, contents: Sequence[Content], name: str) -> float:
    for number, content in enumerate(contents):
        _send(system, [system.arrival(f"stat-{name}-{number}", content, Lane.STAT)])
        time.sleep(APART)
    query = sa.select(events.c.received_at, events.c.done_at).where(events.c.case_key.like(f"image:stat-{name}-%"))
    while True:
        with system.database.read() as connection:
            found = connection.execute(query).all()
        if all(one.done_at for one in found):
            return percentile([(one.done_at - one.received_at).total_seconds() for one in found], 0.95)
        time.sleep(0.2)


def _waiting(system: System) -> int:
    with system.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).where(events.c.state == "waiting")).scalar_one())


def _batch_seconds(system: System) -> float:
    """From claim to save of the backlog's batches, the middle one."""
    backlog = (events.c.lane == "backlog") & (events.c.state == "done")
    with system.database.read() as connection:
        found = connection.execute(sa.select(events.c.claimed_at, events.c.done_at).where(backlog).limit(2000)).all()
    return percentile([(one.done_at - one.claimed_at).total_seconds() for one in found] or [0.0], 0.5)
