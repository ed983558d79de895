"""Labels: what turned out to be true of an event, and how often the models had said so."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.tables import events, findings, inputs, labels, predictions
from db.tally import Counts, insert_for, raise_tallies


@dataclass(frozen=True, kw_only=True)
class Label:
    """``label`` as in findings; ``source``: who says so; ``at``: when that was said."""

    event_id: int
    label: str
    value: bool
    source: str
    at: datetime


def find_events(connection: sa.Connection, sender_ids: Collection[str]) -> dict[str, set[int]]:
    """The sender's own name of an input → the newest events of the cases that such inputs belong to.

    More than one event: the name is not unique over feeds, and a label must name the event by its id.
    """
    found: dict[str, set[int]] = {}
    newest = events.alias("newest")
    last = sa.select(sa.func.max(newest.c.id)).where(newest.c.case_key == events.c.case_key).scalar_subquery()
    query = sa.select(inputs.c.sender_id, last).join(events, events.c.id == inputs.c.event_id)
    for sender_id, event_id in connection.execute(query.where(inputs.c.sender_id.in_(sender_ids))):
        found.setdefault(sender_id, set()).add(event_id)
    return found


def known_events(connection: sa.Connection, ids: Collection[int]) -> set[int]:
    """Those that are there."""
    return set(connection.execute(sa.select(events.c.id).where(events.c.id.in_(ids))).scalars())


def said_labels(connection: sa.Connection, ids: Collection[int]) -> dict[int, dict[str, Mapping[str, bool]]]:
    """Event → label → model → positive: what its predictions say. A retracted prediction is not held against a model."""
    query = (
        sa.select(predictions.c.event_id, findings.c.label, predictions.c.model, findings.c.positive)
        .join(findings, findings.c.prediction_id == predictions.c.id)
        .where(predictions.c.event_id.in_(ids), predictions.c.status != "retracted")
    )
    table: dict[int, dict[str, dict[str, bool]]] = {}
    for event_id, label, model, positive in connection.execute(query):
        table.setdefault(event_id, {}).setdefault(label, {})[model] = positive
    return {event_id: dict(said) for event_id, said in table.items()}


def add_labels(connection: sa.Connection, rows: Sequence[Label], *, slot: str) -> tuple[int, int]:
    """Keep labels; the same source's later word on the same replaces the earlier one. Returns (new, changed or told again).

    A label is compared with what was said once, when it first comes in, so that counters only rise.
    """
    if not rows:
        return 0, 0
    wanted = {(row.event_id, row.label, row.source): row for row in rows}
    ids = {row.event_id for row in rows}
    key = (labels.c.event_id, labels.c.label, labels.c.source)
    there = {tuple(row) for row in connection.execute(sa.select(*key).where(labels.c.event_id.in_(ids)))}
    insert = insert_for(connection, labels)
    newest = {"value": insert.excluded.value, "at": insert.excluded.at}
    values = [vars(row) for row in wanted.values()]
    connection.execute(insert.on_conflict_do_update(index_elements=["event_id", "label", "source"], set_=newest), values)
    fresh = [row for name, row in wanted.items() if name not in there]
    raise_tallies(connection, slot, _agreement(connection, fresh))
    return len(fresh), len(wanted) - len(fresh)


def _agreement(connection: sa.Connection, rows: Sequence[Label]) -> Counts:
    said = said_labels(connection, {row.event_id for row in rows})
    counts: Counts = Counter()
    for row in rows:
        for model, positive in said.get(row.event_id, {}).get(row.label, {}).items():
            counts["labelled_findings", (model, row.label, "true" if positive == row.value else "false")] += 1
    return counts
