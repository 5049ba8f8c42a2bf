"""flask_login: which user of the application an account belongs to."""  # noqa: INP001 (Alembic reads it)

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "flask_login_links",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("login_id", sa.String(255), nullable=False),
        sa.Column("claimed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_flask_login_links"),
        sa.UniqueConstraint("login_id", name="uq_flask_login_links_login_id"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_flask_login_links_user_id", ondelete="CASCADE"
        ),
    )
