"""accounts: the table of users, with the five columns of the exercise."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("hashed_password", sa.String(512), nullable=False),
        sa.Column("session_id", sa.String(36), nullable=True),
        sa.Column("reset_token", sa.String(64), nullable=True),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("disabled", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email", name="uq_users_email"),
        sa.UniqueConstraint("uid", name="uq_users_uid"),
        sqlite_autoincrement=True,
    )
