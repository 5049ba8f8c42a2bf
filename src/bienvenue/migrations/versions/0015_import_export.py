"""import_export: imported users, and the cost of their password hashes."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the tables; no user was imported before."""
    op.create_table(
        "foreign_hash_costs",
        sa.Column("family", sa.String(32), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("family", name="pk_foreign_hash_costs"),
    )
    op.create_table(
        "imported_users",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("imported_at", sa.Double(), nullable=False),
        sa.Column("last_sign_in_at", sa.Double(), nullable=True),
        sa.Column("disabled_reason", sa.String(512), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name="pk_imported_users"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_imported_users_user_id", ondelete="CASCADE"
        ),
    )
