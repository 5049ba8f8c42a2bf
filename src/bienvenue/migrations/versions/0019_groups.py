"""groups: names on accounts; and sessions that end with the browser."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the table of memberships, and whether the browser keeps the cookie of a session."""
    op.create_table(
        "group_memberships",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_group_memberships_name", "group_memberships", ["name"])
    # A session that an earlier version opens meanwhile is remembered, as all were.
    op.add_column(
        "sessions",
        sa.Column("remembered", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
