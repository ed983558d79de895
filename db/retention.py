"""Retention of rows: finished cases, superseded predictions and refusals go once they are old; nothing unfinished ever does.

A case goes as a whole, once its last event ended long enough ago: events, predictions, inputs. Of a stay only what was judged
goes, since results and movements are the patient's timeline. Every count of what goes stays in the tallies (docs/decisions/0026).
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from db.stays import PREFIX as STAY
from db.tables import (
    case_inputs,
    cases,
    events,
    explanations,
    explanations_wanted,
    findings,
    inputs,
    labels,
    predictions,
    refusals,
)
from db.tally import Counts
from stream.keep import Keep

#: Rows that one step looks at, at most: each is a short transaction.
AT_ONCE = 200


@dataclass(frozen=True)
class Step:
    """Where the next step goes on, or None when this pass has come to what is still young."""

    after: int | None = None


def over(connection: sa.Connection, now: datetime, keep: Keep, after: int) -> tuple[list[int], Step]:
    """The cases of the next few that look as if they may go; only reads."""
    columns = (cases.c.id, cases.c.case_key, cases.c.close_at, cases.c.opened_at)
    rows = connection.execute(sa.select(*columns).where(cases.c.id > after).order_by(cases.c.id).limit(AT_ONCE)).all()
    newest = max(now - kept for kept in (keep.events, keep.dead) if kept)
    old = [row for row in rows if row.opened_at < newest]
    closed = {row.case_key: row.id for row in old if row.close_at is None}
    step = Step(rows[-1].id) if len(rows) == AT_ONCE and len(old) == AT_ONCE else Step()
    return [closed[key] for key in _ended(connection, now, keep, closed)], step


def _ended(
    connection: sa.Connection, now: datetime, keep: Keep, keys: Collection[str], *, lock: bool = False
) -> dict[str, list[int]]:
    """Those cases that have events, all of which ended long enough ago, with these events' ids."""
    query = sa.select(events.c.id, events.c.case_key, events.c.state, events.c.done_at).where(events.c.case_key.in_(keys))
    found: dict[str, list[int]] = {}
    young: set[str] = set()
    for row in connection.execute(query.with_for_update() if lock else query):
        kept = {"done": keep.events, "dead": keep.dead}.get(row.state)
        if kept is None or row.done_at is None or row.done_at >= now - kept:
            young.add(row.case_key)
        found.setdefault(row.case_key, []).append(row.id)
    return {key: ids for key, ids in found.items() if key not in young}


def prune_cases(connection: sa.Connection, now: datetime, keep: Keep, ids: Sequence[int], counts: Counts) -> None:
    """Take these cases away, if that still holds once they are locked."""
    held = sa.select(cases.c.id, cases.c.case_key).where(cases.c.id.in_(ids), cases.c.close_at.is_(None))
    locked = {row.case_key: row.id for row in connection.execute(held.with_for_update(skip_locked=True))}
    gathering = sa.select(case_inputs.c.case_id).join(inputs, inputs.c.id == case_inputs.c.input_id)
    gathering = gathering.where(case_inputs.c.case_id.in_(locked.values()), inputs.c.disposition == "collecting")
    busy = set(connection.execute(gathering).scalars())
    ended = _ended(connection, now, keep, [key for key, case_id in locked.items() if case_id not in busy], lock=True)
    event_ids = [event_id for some in ended.values() for event_id in some]
    whole = [locked[key] for key in ended if not key.startswith(STAY)]
    _drop_inputs(
        connection, whole, [event_id for key, some in ended.items() if not key.startswith(STAY) for event_id in some], counts
    )
    _drop_events(connection, event_ids, counts)
    connection.execute(sa.delete(case_inputs).where(case_inputs.c.case_id.in_(whole)))
    connection.execute(sa.delete(cases).where(cases.c.id.in_(whole)))


def _drop_inputs(connection: sa.Connection, case_ids: Collection[int], event_ids: Collection[int], counts: Counts) -> None:
    gathered = sa.select(case_inputs.c.input_id).where(case_inputs.c.case_id.in_(case_ids))
    for mine in (inputs.c.event_id.in_(event_ids), inputs.c.id.in_(gathered)):
        gone = connection.execute(sa.delete(inputs).where(mine).returning(inputs.c.disposition)).scalars()
        counts.update(("pruned_inputs", (disposition,)) for disposition in gone)


def _drop_events(connection: sa.Connection, event_ids: Collection[int], counts: Counts) -> None:
    said = sa.select(predictions.c.id).where(predictions.c.event_id.in_(event_ids))
    _drop_predictions(connection, list(connection.execute(said).scalars()), counts)
    connection.execute(sa.delete(labels).where(labels.c.event_id.in_(event_ids)))
    gone = sa.delete(events).where(events.c.id.in_(event_ids)).returning(events.c.state, events.c.outcome)
    for state, outcome in connection.execute(gone):
        counts["pruned_events", (state, outcome)] += 1
        counts["pruned", ("dead" if state == "dead" else "events",)] += 1


def _drop_predictions(connection: sa.Connection, ids: Collection[int], counts: Counts) -> None:
    for table in (findings, explanations, explanations_wanted):
        connection.execute(sa.delete(table).where(table.c.prediction_id.in_(ids)))
    gone = connection.execute(sa.delete(predictions).where(predictions.c.id.in_(ids)).returning(predictions.c.id))
    counts["pruned", ("predictions",)] += len(gone.all())


def history(connection: sa.Connection, before: datetime, after: int) -> tuple[list[int], Step]:
    """Predictions of the next few that are superseded or retracted and old; a current one goes only with its event."""
    columns = (predictions.c.id, predictions.c.status, predictions.c.created_at)
    rows = connection.execute(sa.select(*columns).where(predictions.c.id > after).order_by(predictions.c.id).limit(AT_ONCE)).all()
    old = [row for row in rows if row.created_at < before]
    step = Step(rows[-1].id) if len(old) == AT_ONCE else Step()
    return [row.id for row in old if row.status != "current"], step


def prune_history(connection: sa.Connection, ids: Sequence[int], counts: Counts) -> None:
    """Take these predictions away with all that belongs to them."""
    _drop_predictions(connection, ids, counts)


def unused(connection: sa.Connection, before: datetime, after: int) -> tuple[list[int], Step]:
    """Inputs of the next few that nothing was made of, and that are old."""
    columns = (inputs.c.id, inputs.c.disposition, inputs.c.event_id, inputs.c.accepted_at)
    rows = connection.execute(sa.select(*columns).where(inputs.c.id > after).order_by(inputs.c.id).limit(AT_ONCE)).all()
    old = [row for row in rows if row.accepted_at < before]
    step = Step(rows[-1].id) if len(old) == AT_ONCE else Step()
    return [row.id for row in old if row.disposition == "not_used" and row.event_id is None], step


def prune_unused(connection: sa.Connection, ids: Sequence[int], counts: Counts) -> None:
    """Take these inputs away."""
    mine = inputs.c.id.in_(ids) & (inputs.c.disposition == "not_used")
    gone = connection.execute(sa.delete(inputs).where(mine).returning(inputs.c.disposition)).scalars()
    counts.update(("pruned_inputs", (disposition,)) for disposition in gone)


def old_refusals(connection: sa.Connection, before: datetime) -> bool:
    """Whether there are any."""
    return connection.execute(sa.select(refusals.c.id).where(refusals.c.at < before).limit(1)).first() is not None


def prune_refusals(connection: sa.Connection, before: datetime, counts: Counts) -> None:
    """Take the oldest refusals away that were not sent again since."""
    oldest = sa.select(refusals.c.id).where(refusals.c.at < before).order_by(refusals.c.at).limit(AT_ONCE)
    gone = connection.execute(sa.delete(refusals).where(refusals.c.id.in_(oldest), refusals.c.at < before)).rowcount
    counts["pruned", ("refusals",)] += gone


def pruned_counts(counts: Counts) -> str:
    """What a step took away, in words for the log; empty when nothing."""
    told: Counter[str] = Counter()
    for (name, values), number in counts.items():
        if name == "pruned" and number:
            told[values[0]] += number
    return ", ".join(f"{number} {kind}" for kind, number in sorted(told.items()))
