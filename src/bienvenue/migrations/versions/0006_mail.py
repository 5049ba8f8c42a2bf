"""mail: the outbox, and how many letters somebody asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "mail",
        sa.Column("id", _big, nullable=False),
        sa.Column("uid", sa.String(36), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("expires", sa.Double(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Double(), nullable=True),
        sa.Column("problem", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_mail"),
        sa.UniqueConstraint("uid", name="uq_mail_uid"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_mail_at", "mail", ["at"])
    op.create_index("ix_mail_user_id", "mail", ["user_id"])
    op.create_index("ix_mail_state_due", "mail", ["state", "due"])
    op.create_table(
        "mail_asked",
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("last", sa.Double(), nullable=False),
        sa.Column("letters", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_mail_asked"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_mail_asked_last", "mail_asked", ["last"])
