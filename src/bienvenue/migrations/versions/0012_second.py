"""second: the second email of a person, to which notices go as well."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table; an account without a row here has one email."""
    op.create_table(
        "second_emails",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("email", sa.String(254), nullable=True),
        sa.Column("since", sa.Double(), nullable=True),
        sa.Column("asked", sa.String(254), nullable=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=True),
        sa.Column("expires", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name="pk_second_emails"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_second_emails_user_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("digest", name="uq_second_emails_digest"),
    )
    op.create_index("ix_second_emails_expires", "second_emails", ["expires"])
