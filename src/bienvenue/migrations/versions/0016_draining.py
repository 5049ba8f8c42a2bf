"""draining: a count of failures has a fraction, because time lowers it steadily."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Store failures with a fraction."""
    without = {"sqlite_with_rowid": False}
    with op.batch_alter_table("rate_limits", table_kwargs=without) as counts:
        counts.alter_column("failures", type_=sa.Double(), existing_nullable=False)
