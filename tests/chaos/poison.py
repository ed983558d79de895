"""Inputs that kill, fill or hang the process that judges them, among others that must not suffer for it."""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import sqlalchemy as sa
from cases import note_by_hl7
from crew import until
from faults import Stage
from stub_model import POISON

from db.tables import events

#: At most so many times the 95th percentile of the others' latency without poison.
TIMES = 2.0
#: Seconds between two of them, so that they are the rare thing that they are.
APART_SECONDS = 4.0
#: A percentile of fewer latencies says nothing.
ENOUGH = 100


@dataclass
class Poisons:
    """The ids of the events that were meant to die. ``apart``: seconds between two of them."""

    ids: set[int] = field(default_factory=set)
    apart: float = APART_SECONDS

    def round(self, stage: Stage, deed: str) -> float:
        """Send one; seconds until it is dead, with the stage that it reached and a reason."""
        case = note_by_hl7(
            random.Random(stage.rng.random()), text=f"{POISON.decode()}{deed} A note of some words that nobody survives."
        )
        stage.traffic.deliver(case, {})
        began = time.monotonic()
        query = "SELECT e.id, e.state, e.stage, e.reason FROM events e JOIN inputs i ON i.event_id = e.id WHERE i.sender_id = :name"
        (row,) = stage.one.rows(query, name=case.sendings[0].sender_id)
        self.ids.add(row["id"])
        until(
            lambda: stage.one.one("SELECT state FROM events WHERE id = :id", id=row["id"]) == "dead", f"{deed} is dead", seconds=90
        )
        seconds = time.monotonic() - began
        (row,) = stage.one.rows(query, name=case.sendings[0].sender_id)
        if row["stage"] != "infer" or "alone" not in row["reason"]:
            stage.complain(f"{deed}: stage {row['stage']!r}, reason {row['reason']!r}")
        time.sleep(stage.rng.uniform(0.5, 1.5) * self.apart)
        return seconds


def latencies(stage: Stage, since: datetime, before: datetime, without: set[int]) -> list[float]:
    """Of every event but the poisonous ones that was accepted in that time, in seconds from when it could be claimed."""
    columns = (events.c.id, events.c.received_at, events.c.done_at, events.c.gather_seconds)
    inside = (events.c.received_at >= since) & (events.c.received_at < before) & (events.c.state == "done")
    rows = stage.one.read(lambda connection: connection.execute(sa.select(*columns).where(inside)).all())
    return [(row.done_at - row.received_at).total_seconds() - (row.gather_seconds or 0.0) for row in rows if row.id not in without]


def compare(stage: Stage, before: Sequence[float], during: Sequence[float]) -> str:
    """The others' p95 with poison beside that without, in words; complains where it more than doubles."""
    usual, poisoned = float(np.percentile(before, 95)), float(np.percentile(during, 95))
    if min(len(before), len(during)) >= ENOUGH and poisoned > TIMES * usual:
        stage.complain(f"the others' p95 latency rose from {usual:.3f} s to {poisoned:.3f} s")
    return f"the others' p95 latency: {usual:.3f} s without, {poisoned:.3f} s with poison ({len(before)} and {len(during)} events)"


def now(stage: Stage) -> datetime:
    return stage.one.read(stage.one.ledger.now)
