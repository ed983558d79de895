"""Why it was said: explanations beside their predictions, and the list of predictions that are still to be explained."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from db.tables import events, explanations, explanations_wanted, findings, predictions
from db.tally import insert_for
from stream.event import Event
from stream.explanation import Explanation
from stream.queues import ALL_QUEUES

#: An explanation that ended its worker's process so often is not tried again.
MOST_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Said:
    """A prediction that is to be explained: its event, whose it is, and the labels that were found positive, likeliest first."""

    prediction_id: int
    model: str
    model_digest: str
    event: Event
    labels: tuple[str, ...]


def want(connection: sa.Connection, now: datetime, prediction_ids: Iterable[int]) -> None:
    """Ask for explanations; the next worker that has nothing else to do computes them."""
    rows = [{"prediction_id": one, "tries": 0, "asked_at": now} for one in prediction_ids]
    if rows:
        insert = insert_for(connection, explanations_wanted)
        connection.execute(insert.on_conflict_do_nothing(index_elements=["prediction_id"]), rows)


def anything_wanted(connection: sa.Connection) -> bool:
    """Whether any is asked for, by whomever."""
    return connection.execute(sa.select(explanations_wanted.c.prediction_id).limit(1)).first() is not None


def next_wanted(connection: sa.Connection, modalities: Sequence[str]) -> Said | None:
    """The oldest that is wanted, tried once more by this call; one that was tried too often is forgotten."""
    connection.execute(sa.delete(explanations_wanted).where(explanations_wanted.c.tries >= MOST_TRIES))
    query = (
        sa.select(explanations_wanted.c.prediction_id)
        .join(predictions, predictions.c.id == explanations_wanted.c.prediction_id)
        .join(events, events.c.id == predictions.c.event_id)
        .where(events.c.modality.in_(modalities))
        .order_by(explanations_wanted.c.tries, explanations_wanted.c.prediction_id)
        .limit(1)
        .with_for_update(skip_locked=True, of=explanations_wanted)
    )
    found = connection.execute(query).scalar()
    if found is None:
        return None
    mine = explanations_wanted.c.prediction_id == found
    connection.execute(sa.update(explanations_wanted).where(mine).values(tries=explanations_wanted.c.tries + 1))
    return said_in(connection, predictions.c.id == found)[0]


def put_back(connection: sa.Connection, said: Said) -> None:
    """It was not begun in earnest: something more urgent came."""
    mine = explanations_wanted.c.prediction_id == said.prediction_id
    connection.execute(sa.update(explanations_wanted).where(mine).values(tries=explanations_wanted.c.tries - 1))


def said_of(connection: sa.Connection, event_id: int) -> list[Said]:
    """The predictions of an event, whatever their status."""
    return said_in(connection, predictions.c.event_id == event_id)


def said_in(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[Said]:
    """Those predictions, each with its event and what it found."""
    names = [one.name for one in fields(Event) if one.name not in ("suspect", "alone")]
    own = (predictions.c.id.label("prediction_id"), predictions.c.model, predictions.c.model_digest)
    query = sa.select(*own, *[events.c[name] for name in names]).join(events, events.c.id == predictions.c.event_id)
    rows = connection.execute(query.where(which).order_by(predictions.c.id)).mappings().all()
    return [_said(connection, row, names) for row in rows]


def _said(connection: sa.Connection, row: Any, names: Sequence[str]) -> Said:
    found = sa.select(findings.c.label, findings.c.positive).where(findings.c.prediction_id == row["prediction_id"])
    told = connection.execute(found.order_by(findings.c.probability.desc(), findings.c.label)).all()
    positive = tuple(one.label for one in told if one.positive) or tuple(one.label for one in told[:1])
    event = Event(**{name: row[name] for name in names}, suspect=False, alone=False)
    return Said(
        prediction_id=row["prediction_id"], model=row["model"], model_digest=row["model_digest"], event=event, labels=positive
    )


def explain(connection: sa.Connection, now: datetime, prediction_id: int, found: Iterable[Explanation]) -> None:
    """Store what explains a prediction, in place of what was stored before, and strike it off the list."""
    rows = [{"prediction_id": prediction_id, "created_at": now, **vars(one)} for one in found]
    if rows:
        insert = insert_for(connection, explanations)
        update = {name: insert.excluded[name] for name in ("method", "media_type", "body", "created_at")}
        keys = ["prediction_id", "kind", "label"]
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=update), rows)
    connection.execute(sa.delete(explanations_wanted).where(explanations_wanted.c.prediction_id == prediction_id))


def explanations_of(connection: sa.Connection, prediction_id: int) -> list[Explanation]:
    """What explains a prediction."""
    columns = [explanations.c[one.name] for one in fields(Explanation)]
    query = sa.select(*columns).where(explanations.c.prediction_id == prediction_id).order_by(explanations.c.label)
    return [Explanation(**{**row, "body": bytes(row["body"])}) for row in connection.execute(query).mappings()]


def unexplained(connection: sa.Connection, now: datetime, *, quiet: timedelta) -> Sequence[str]:
    """Modalities with predictions that have been wanted explained for ``quiet``."""
    query = (
        sa.select(events.c.modality)
        .join(predictions, predictions.c.event_id == events.c.id)
        .join(explanations_wanted, explanations_wanted.c.prediction_id == predictions.c.id)
        .where(explanations_wanted.c.asked_at < now - quiet)
        .distinct()
    )
    return connection.execute(query).scalars().all()


def more_urgent(connection: sa.Connection, now: datetime, queues: Collection[str]) -> bool:
    """Whether an event of these queues could be claimed now."""
    ready = (events.c.state == "waiting") & (events.c.not_before.is_(None) | (events.c.not_before <= now))
    if set(queues) != set(ALL_QUEUES):
        pairs = [name.split(".") for name in queues]
        ready &= sa.or_(*[(events.c.modality == modality) & (events.c.lane == lane) for modality, lane in pairs])
    return connection.execute(sa.select(events.c.id).where(ready).limit(1)).first() is not None
