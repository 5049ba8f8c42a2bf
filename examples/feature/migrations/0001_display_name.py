"""display_name: the name of an account."""  # noqa: INP001 (Alembic reads it)

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "display_names",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_display_names"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_display_names_user_id", ondelete="CASCADE"
        ),
    )
