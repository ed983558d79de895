"""Labels that come back, when a content was last brought, and how a worker ended."""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "labels",
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("value", sa.Boolean(), nullable=False),
        sa.Column("at", db.tables.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "label", "source", name=op.f("pk_labels")),
    )
    op.add_column("contents", sa.Column("kept_at", db.tables.Utc(timezone=True), nullable=True))
    op.create_index("ix_contents_kept_at", "contents", ["kept_at"])
    notes = sa.text("modality = 'note'")
    op.create_index("ix_cases_text", "cases", ["digest"], sqlite_where=notes, postgresql_where=notes)
    op.add_column("workers", sa.Column("ended_by", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take them away again."""
    op.drop_column("workers", "ended_by")
    op.drop_index("ix_cases_text", table_name="cases")
    op.drop_index("ix_contents_kept_at", table_name="contents")
    op.drop_column("contents", "kept_at")
    op.drop_table("labels")
