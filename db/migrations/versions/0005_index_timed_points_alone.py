"""An index of the points whose identity has a time, instead of one of all."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIMED = sa.text("identity <> base")


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_index("ix_points_timed", "points", ["base"], sqlite_where=_TIMED, postgresql_where=_TIMED)
    op.drop_index("ix_points_base", table_name="points")


def downgrade() -> None:
    """Take them back."""
    op.create_index("ix_points_base", "points", ["base"])
    op.drop_index("ix_points_timed", table_name="points")
