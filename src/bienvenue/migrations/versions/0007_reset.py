"""reset: where the outstanding reset token went, and until when it works."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the table; a digest without a row here opens nothing."""
    op.create_table(
        "resets",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_resets"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_resets_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_resets_expires", "resets", ["expires"])
    op.create_index("ix_users_reset_token", "users", ["reset_token"], unique=True)
