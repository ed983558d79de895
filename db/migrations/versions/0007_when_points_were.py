"""When a refused point was observed, and when the message of a result was sent."""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    # In the order in which the intake writes them, whose locks it waits for.
    op.add_column("points", sa.Column("sent_at", db.tables.Utc(timezone=True), nullable=True))
    op.add_column("refused_points", sa.Column("observed_at", db.tables.Utc(timezone=True), nullable=True))


def downgrade() -> None:
    """Take them away again."""
    op.drop_column("points", "sent_at")
    op.drop_column("refused_points", "observed_at")
