"""Versions dated ahead, from before such times were passed over at the door: each shuts out every correction until then.

Only what is still to come is set back. A version may well be later than the input that its row names, since the same value told
again, and a document's cancel, date the row alone.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

#: What two machines' clocks may differ by, as at the door.
_TOLERANCE = timedelta(minutes=5)


def upgrade() -> None:
    """Date them by when they came; a cancelled document by now, since its row does not tell when the cancel came."""
    now = sa.literal(datetime.now(UTC), db.tables.Utc())
    inputs = _table("inputs", "id", "accepted_at")
    points = _table("points", "input_id", "version_at")
    cases = _table("cases", "digest", "version_at", "touched_at")
    patients = _table("patients", "version_at", "seen_at")
    accepted_at = sa.select(inputs.c.accepted_at).where(inputs.c.id == points.c.input_id).scalar_subquery()
    _set_back(points, sa.func.coalesce(accepted_at, now))
    _set_back(cases, sa.case((cases.c.digest == "", now), else_=cases.c.touched_at))
    _set_back(patients, patients.c.seen_at)


def downgrade() -> None:
    """Nothing to undo: the earlier dates were wrong."""


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(one, db.tables.Utc() if one.endswith("_at") else None) for one in columns))


def _set_back(table: sa.TableClause, moment: sa.ColumnElement[datetime]) -> None:
    ahead = table.c.version_at > datetime.now(UTC) + _TOLERANCE
    op.execute(sa.update(table).where(ahead).values(version_at=moment))
