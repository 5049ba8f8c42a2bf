"""email: the change an account asked for, and the emails it can have back."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "email_changes",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("old", sa.String(254), nullable=False),
        sa.Column("new", sa.String(254), nullable=False),
        sa.Column("asked", sa.Double(), nullable=False),
        sa.Column("ip", sa.String(45), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("letter", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_email_changes"),
        sa.UniqueConstraint("digest", name="uq_email_changes_digest"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_email_changes_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_email_changes_expires", "email_changes", ["expires"])
    op.create_table(
        "email_undos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("letter", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_email_undos"),
        sa.UniqueConstraint("digest", name="uq_email_undos_digest"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_email_undos_user_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_email_undos_user_id", "email_undos", ["user_id"])
    op.create_index("ix_email_undos_email", "email_undos", ["email"])
    op.create_index("ix_email_undos_expires", "email_undos", ["expires"])
