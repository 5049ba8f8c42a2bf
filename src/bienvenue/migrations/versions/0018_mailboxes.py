"""mailboxes: a link verifies a mailbox, apart from the request for which it was sent.

The row of a request keeps its place and gets a token that is not sent; the link gets a row of its
own, so that links in mailboxes go on working.
"""

import secrets
import uuid
from typing import Any

import sqlalchemy as sa
from alembic import op

from bienvenue.table_names import named

revision = "0018"
down_revision = "0017"

_PURPOSES = ("email_change", "notification_email")
_COPIED = ("digest", "user_id", "sent_to", "message_uid", "created_at", "expires_at")

_TOKENS: tuple[sa.ColumnClause[Any], ...] = (
    sa.column("id", sa.BigInteger()),
    sa.column("digest", sa.LargeBinary()),
    sa.column("uid", sa.String()),
    sa.column("purpose", sa.String()),
    sa.column("slot", sa.String()),
    sa.column("user_id", sa.Integer()),
    sa.column("sent_to", sa.String()),
    sa.column("data", sa.Text()),
    sa.column("message_uid", sa.String()),
    sa.column("created_at", sa.Double()),
    sa.column("expires_at", sa.Double()),
)


def upgrade() -> None:
    """Give the links of outstanding requests rows of their own."""
    tokens = sa.table(named("one_time_tokens"), *_TOKENS)
    bind, columns = op.get_bind(), tokens.c
    requests = bind.execute(sa.select(tokens).where(columns.purpose.in_(_PURPOSES))).all()
    for request in requests:
        purpose = f"{request.purpose}_link"
        link = {name: getattr(request, name) for name in _COPIED} | {
            "uid": str(uuid.uuid4()),
            "purpose": purpose,
            "slot": f"{purpose} {request.user_id} {request.sent_to}",
            "data": "{}",
        }
        unsent = {"digest": secrets.token_bytes(32), "message_uid": None}
        bind.execute(sa.update(tokens).where(columns.id == request.id).values(unsent))
        bind.execute(sa.insert(tokens).values(link))
