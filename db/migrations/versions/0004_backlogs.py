"""Backlogs, their manifests, and content that was left where it lies."""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables to this revision."""
    op.create_table(
        "backlog_files",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("backlog_id", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("inputs", sa.Integer(), nullable=False),
        sa.Column("input_id", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", db.tables.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backlog_files")),
        sa.UniqueConstraint("backlog_id", "path", "member", "part", name=op.f("uq_backlog_files_backlog_id_path_member_part")),
    )
    with op.batch_alter_table("backlog_files", schema=None) as batch_op:
        batch_op.create_index(
            "ix_backlog_files_faulty",
            ["backlog_id", "id"],
            unique=False,
            sqlite_where=sa.text("state IN ('refused', 'failed')"),
            postgresql_where=sa.text("state IN ('refused', 'failed')"),
        )
        batch_op.create_index(
            "ix_backlog_files_pending",
            ["backlog_id", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'pending'"),
            postgresql_where=sa.text("state = 'pending'"),
        )

    op.create_table(
        "backlogs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.JSON(), nullable=False),
        sa.Column("in_place", sa.Boolean(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("waits_for", sa.Text(), nullable=False),
        sa.Column("runner", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", db.tables.Utc(timezone=True), nullable=True),
        sa.Column("began_at", db.tables.Utc(timezone=True), nullable=False),
        sa.Column("listed_at", db.tables.Utc(timezone=True), nullable=True),
        sa.Column("listed_through", sa.Text(), nullable=False),
        sa.Column("ended_at", db.tables.Utc(timezone=True), nullable=True),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("inputs", sa.BigInteger(), nullable=False),
        sa.Column("files_per_second", sa.Float(), nullable=True),
        sa.Column("eta_at", db.tables.Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backlogs")),
        sa.UniqueConstraint("name", name=op.f("uq_backlogs_name")),
    )
    op.create_table(
        "content_places",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_content_places")),
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("content_places")
    op.drop_table("backlog_files")
    op.drop_table("backlogs")
