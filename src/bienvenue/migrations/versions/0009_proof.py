"""proof: who registered and is expected, and whose email is proven."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables; letters are found by whom they go to."""
    op.create_table(
        "registrations",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("hashed_password", sa.String(512), nullable=False),
        sa.Column("letter", sa.String(36), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_registrations"),
    )
    op.create_index("ix_registrations_email", "registrations", ["email"])
    op.create_index("ix_registrations_expires", "registrations", ["expires"])
    op.create_table(
        "proofs",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_proofs"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_proofs_user_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_mail_email", "mail", ["email"])
