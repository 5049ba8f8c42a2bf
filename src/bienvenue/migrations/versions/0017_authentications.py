"""authentications: sign-ins in progress."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the table of sign-ins for which another factor is required."""
    op.create_table(
        "authentications",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("amr", sa.String(100), nullable=False),
        sa.Column("authenticated_at", sa.Double(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_authentications_user_id", "authentications", ["user_id"])
    op.create_index("ix_authentications_expires_at", "authentications", ["expires_at"])
