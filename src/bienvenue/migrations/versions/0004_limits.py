"""limits: the failures counted for accounts and networks."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "limits",
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.String(50), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("strangers", sa.Integer(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.Column("last", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_limits"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_limits_last", "limits", ["last"])
