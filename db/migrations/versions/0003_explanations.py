"""What a prediction leaned on, and which predictions are still to be explained."""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "explanations",
        sa.Column("prediction_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", db.tables.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", "kind", "label", name=op.f("pk_explanations")),
    )
    op.create_table(
        "explanations_wanted",
        sa.Column("prediction_id", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("asked_at", db.tables.Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_explanations_wanted")),
    )


def downgrade() -> None:
    """Bring them back."""
    op.drop_table("explanations_wanted")
    op.drop_table("explanations")
