"""Cases whose time has come become events: the keeper calls this in every sweep."""

import hashlib
import logging
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import sqlalchemy as sa

from db import stays
from db.commit import Commit
from db.people import same_person
from db.settle import settle
from db.tables import case_inputs, cases, inputs, points, refused_points
from db.tally import raise_tallies
from db.timeline import analytes_not_seen_since
from stream.content import ContentStore
from stream.errors import Temporary
from stream.points import POINT, encode_points
from stream.window import Window

log = logging.getLogger(__name__)

#: An analyte unseen by the installation for so long is not connected.
NOT_CONNECTED_AFTER = timedelta(days=7)

#: Cases closed in one transaction.
AT_ONCE = 64


def any_due(connection: sa.Connection, now: datetime) -> bool:
    """Whether the time of any case has come."""
    return connection.execute(sa.select(cases.c.id).where(cases.c.close_at <= now).limit(1)).first() is not None


class Closer:
    """Turns due cases into events. ``codes``: the LOINC codes that active lab cards take."""

    def __init__(self, *, store: ContentStore, window: Window, codes: Collection[str], slot: str) -> None:
        self.store = store
        self.window = window
        self.codes = tuple(codes)
        self.slot = slot

    def close_due(self, connection: sa.Connection, now: datetime) -> dict[str, list[int]]:
        """Make events of at most AT_ONCE due cases; returns the new events by queue, to be rung after the commit."""
        commit = Commit(connection=connection, now=now, window=self.window)
        due = sa.select(cases).where(cases.c.close_at <= now).order_by(cases.c.close_at).limit(AT_ONCE)
        for case in connection.execute(due.with_for_update(skip_locked=True)).mappings().all():
            try:
                row = self._freeze_stay(commit, case) if case["origin_at"] else self._freeze_series(commit, case)
            except Temporary as error:  # of the content store: the case is still due in the next sweep
                log.warning("a case is not closed for now: case=%d reason=%s", case["id"], error)
                continue
            self._add_event(commit, case, row)
        raise_tallies(connection, self.slot, commit.counts)
        return commit.rings

    def _add_event(self, commit: Commit, case: sa.RowMapping, frozen: Mapping[str, Any]) -> None:
        copied = ("case_key", "modality", "lane", "feed", "patient_key", "acquired_at")
        row = {
            **{name: case[name] for name in copied},
            "revision": case["revision"] + 1,
            "received_at": case["touched_at"],
            "gather_seconds": (commit.now - case["touched_at"]).total_seconds(),
            **frozen,
        }
        (event_id,) = commit.add_events([row])
        through = settle(commit.connection, case["id"], commit.counts, disposition="in_event", event_id=event_id)
        commit.set_inputs_through(event_id, through)
        values = {"revision": row["revision"], "close_at": None, "first_touched_at": None, "digest": row["digest"]}
        commit.connection.execute(sa.update(cases).where(cases.c.id == case["id"]).values(values))

    def _freeze_series(self, commit: Commit, case: sa.RowMapping) -> dict[str, Any]:
        query = sa.select(inputs.c.digest).join(case_inputs, case_inputs.c.input_id == inputs.c.id)
        digests = commit.connection.execute(query.where(case_inputs.c.case_id == case["id"]).order_by(inputs.c.id)).scalars()
        whole = hashlib.sha256("".join(digests).encode()).hexdigest()
        return {"digest": whole, "facts": case["facts"], "as_of": case["acquired_at"] or case["touched_at"]}

    def _freeze_stay(self, commit: Commit, case: sa.RowMapping) -> dict[str, Any]:
        rows = _window_points(commit.connection, case)
        minutes = [(row.observed_at - case["origin_at"]).total_seconds() / 60.0 for row in rows]
        window = np.array(
            [(row.code.encode(), minute, row.value, row.flags) for row, minute in zip(rows, minutes, strict=True)], dtype=POINT
        )
        content = self.store.put(encode_points(window))
        commit.keep([content])
        as_of = max((row.available_at for row in rows), default=case["ends_at"])
        return {"digest": content.digest, "facts": self._facts(commit, case), "as_of": as_of}

    def _facts(self, commit: Commit, case: sa.RowMapping) -> dict[str, Any]:
        facts = dict(case["facts"])
        left = stays.left_at(commit.connection, case["case_key"].removeprefix(stays.PREFIX), case["origin_at"])
        facts["window_complete"] = left is None or left >= case["ends_at"]
        facts["window_hours"] = (case["ends_at"] - case["origin_at"]) / timedelta(hours=1)
        facts["not_connected"] = analytes_not_seen_since(commit.connection, commit.now - NOT_CONNECTED_AFTER, self.codes)
        facts["refused_points"] = _refused(commit.connection, case)
        return facts


def _in_window(table: sa.Table, case: sa.RowMapping) -> sa.ColumnElement[bool]:
    """By observation time; both ends belong to the window."""
    return table.c.observed_at.between(case["origin_at"], case["ends_at"])


def _window_points(connection: sa.Connection, case: sa.RowMapping) -> list[Any]:
    """The points that the window holds."""
    own = points.c.patient_key.in_(same_person(connection, case["patient_key"]))
    columns = (points.c.code, points.c.value, points.c.flags, points.c.observed_at, points.c.available_at)
    query = sa.select(*columns).where(own, _in_window(points, case), points.c.value.is_not(None)).order_by(points.c.id)
    return list(connection.execute(query))


def _refused(connection: sa.Connection, case: sa.RowMapping) -> list[dict[str, Any]]:
    """The refused points that would stand in the window; those without a time when their input belongs to the stay."""
    own = refused_points.c.patient_key.in_(same_person(connection, case["patient_key"]))
    gathered = sa.select(case_inputs.c.input_id).where(case_inputs.c.case_id == case["id"])
    without_time = refused_points.c.observed_at.is_(None) & refused_points.c.input_id.in_(gathered)
    named = (refused_points.c.code, refused_points.c.reason)
    query = sa.select(*named, sa.func.count()).where(own, _in_window(refused_points, case) | without_time)
    found = connection.execute(query.group_by(*named).order_by(*named))
    return [{"code": code, "reason": reason, "n": number} for code, reason, number in found]
