"""When a refused point was observed."""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.add_column("refused_points", sa.Column("observed_at", db.tables.Utc(timezone=True), nullable=True))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("refused_points", "observed_at")
