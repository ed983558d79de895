"""One event's whole life: its row, its inputs, its other revisions, what was said of it and what people did to it."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from db.report import list_predictions
from db.tables import actions, case_inputs, cases, contents, events, explanations, inputs, workers

#: Inputs of a stay or a series that are listed with an event.
MOST_INPUTS = 40


def one_event(connection: sa.Connection, event_id: int) -> dict[str, Any] | None:
    """All that the ledger has of it, None where there is no such event."""
    row = connection.execute(sa.select(events).where(events.c.id == event_id)).mappings().first()
    if row is None:
        return None
    event = dict(row)
    said = list_predictions(connection, event_id=event_id)
    holder = sa.select(workers.c.name, workers.c.device).where(workers.c.id == event["holder"])
    return {
        "event": event,
        "case": _first(connection, sa.select(cases).where(cases.c.case_key == event["case_key"])),
        "holder": _first(connection, holder) if event["holder"] else None,
        "inputs": _inputs(connection, event),
        "revisions": _revisions(connection, event),
        "predictions": said,
        "explanations": explanations_of(connection, [one["id"] for one in said]),
        "actions": _rows(connection, sa.select(actions).where(actions.c.event_id == event_id).order_by(actions.c.id)),
    }


def _inputs(connection: sa.Connection, event: dict[str, Any]) -> list[dict[str, Any]]:
    """What its case had gathered when it was opened, newest first; one more than is shown tells that there are more."""
    gathered = _gathered(event).order_by(inputs.c.id.desc()).limit(MOST_INPUTS + 1)
    found = _rows(connection, gathered)
    own = sa.select(inputs).where(inputs.c.event_id == event["id"]).order_by(inputs.c.id.desc()).limit(MOST_INPUTS + 1)
    return found or _rows(connection, own)


def _gathered(event: dict[str, Any]) -> sa.Select[Any]:
    query = sa.select(inputs).join(case_inputs, case_inputs.c.input_id == inputs.c.id)
    query = query.join(cases, cases.c.id == case_inputs.c.case_id)
    return query.where(cases.c.case_key == event["case_key"], inputs.c.id <= event["inputs_through"])


def _revisions(connection: sa.Connection, event: dict[str, Any]) -> list[dict[str, Any]]:
    columns = (events.c.id, events.c.revision, events.c.state, events.c.outcome, events.c.reason, events.c.received_at)
    return _rows(connection, sa.select(*columns).where(events.c.case_key == event["case_key"]).order_by(events.c.revision))


def explanations_of(connection: sa.Connection, prediction_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Why a model said what it said, where that was computed."""
    if not prediction_ids:
        return []
    mine = sa.select(explanations).where(explanations.c.prediction_id.in_(prediction_ids))
    return _rows(connection, mine.order_by(explanations.c.prediction_id, explanations.c.kind, explanations.c.label))


def digests_of(connection: sa.Connection, event: dict[str, Any]) -> list[str]:
    """Which contents it judges: one, or every instance of its series in the order of arrival."""
    if not event["case_key"].startswith("series:"):
        return [event["digest"]] if event["digest"] else []
    return [row["digest"] for row in _rows(connection, _gathered(event).order_by(inputs.c.id))]


def small_content(connection: sa.Connection, digest: str) -> bytes | None:
    """The bytes of a content that is a row; a larger one is a file of the store."""
    found = connection.execute(sa.select(contents.c.data).where(contents.c.digest == digest)).scalar()
    return None if found is None else bytes(found)


def _first(connection: sa.Connection, query: sa.Select[Any]) -> dict[str, Any] | None:
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]
