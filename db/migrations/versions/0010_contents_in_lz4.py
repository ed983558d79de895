"""Contents are packed by lz4 on PostgreSQL: its own way takes three times as long to write one (docs/decisions/0036).

Rows that are there stay as they are; both can be read. A server that was built without lz4 goes on as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of what is written from now on."""
    _pack_by("lz4")


def downgrade() -> None:
    """PostgreSQL's own way again."""
    _pack_by("pglz")


def _pack_by(method: str) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    try:
        with connection.begin_nested():
            op.execute(f"ALTER TABLE contents ALTER COLUMN data SET COMPRESSION {method}")
    except (sa.exc.NotSupportedError, sa.exc.ProgrammingError):  # without lz4, or before PostgreSQL 14
        return
