"""Which Encounter told of a movement, so that its next version replaces it, and whether its time stands twice."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.add_column("movements", sa.Column("repeated_hour", sa.Boolean(), nullable=True))
    op.add_column("movements", sa.Column("told_by", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("movements", "told_by")
    op.drop_column("movements", "repeated_hour")
