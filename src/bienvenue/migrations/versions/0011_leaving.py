"""leaving: accounts that were closed, and when they are deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table; an account without a row here is deleted by nobody but an administrator."""
    op.create_table(
        "leavings",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name="pk_leavings"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_leavings_user_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("digest", name="uq_leavings_digest"),
    )
    op.create_index("ix_leavings_due", "leavings", ["due"])
