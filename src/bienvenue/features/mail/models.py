"""The outbox: one row a message, and how many messages are asked for."""

import enum
import functools
from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    bindparam,
    case,
    insert,
)
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, queue
from bienvenue.db import upsert
from bienvenue.user import Base, table_of

LEASE = 300.0
"""Seconds a worker may hold a message it claimed: twice the deadline of a conversation."""

TEST_DEADLINE = 60.0
"""Seconds a test message may take: an operator waits for it."""

GIVE_UP = 2 * 86400.0
"""Seconds after which a message that no server accepted is dead, unless its link still works; and
after which a message without a link is not sent for the first time.
"""

PAUSES = 30.0, 3600.0
"""The first and the longest pause between two tries of a message, in seconds."""

PART = 100
"""Messages that an export holds at a time."""

KEPT = 30 * 86400.0
"""Seconds a message is kept, whatever became of it."""

GAP, AN_HOUR = 120.0, 5
"""Seconds between two messages with a link to one email, and how many an hour it can get."""

WIDER = {56: 4, 48: 16}
"""How many times the messages of a /64 the wider networks of IPv6 can request: a /56 is a usual
assignment to a home, a /48 to a site (RFC 6177).
"""

NOTICES_AT_ONCE = 3
"""Notices of one kind that one email gets at once in a day; further ones are gathered."""

GATHERED = 3600.0
"""Seconds for which further notices of one kind are gathered into one message."""

HOUR = 3600.0
"""Seconds in which requests for messages are counted."""

DAY = 86400.0
"""Seconds in which notices of one kind are counted."""

_big = BigInteger().with_variant(Integer(), "sqlite")


class MessageState(enum.StrEnum):
    """What became of a message."""

    #: Not sent yet; without a server it stays so.
    WAITING = queue.WAITING
    #: A server accepted it.
    SENT = "sent"
    #: A server refused it for good, or none accepted it for two days.
    DEAD = queue.DEAD
    #: Its token was spent, replaced or expired before it was sent, it waited for two days for a
    #: first mail server, or an operator withdrew it.
    WITHDRAWN = "withdrawn"
    #: Written without a recipient, so that an unknown email costs what a known one does.
    VOID = "void"


class Message(Base):
    """One message, rendered from `kind` and `facts`; `encrypted_link` holds its link, encrypted."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_state_due_at", "state", "due_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_big, primary_key=True)
    #: Its public name, and the left part of its Message-ID.
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    created_at: Mapped[float] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(index=True)
    #: The recipient.
    email: Mapped[str] = mapped_column(String(254), index=True)
    #: Plain values for its template as JSON, none of them secret.
    facts: Mapped[str] = mapped_column(Text)
    #: Its link, encrypted; NULL when it has none, or none any more.
    encrypted_link: Mapped[bytes | None] = mapped_column(LargeBinary)
    #: When that link expires.
    expires_at: Mapped[float | None]
    state: Mapped[str] = mapped_column(String(16))
    #: When a worker may claim it; while one holds it, when its lease ends.
    due_at: Mapped[float]
    #: How often it was claimed. A worker changes only the row it claimed last.
    tries: Mapped[int]
    sent_at: Mapped[float | None]
    #: Why the last try failed, without the email or anything of the message.
    problem: Mapped[str | None] = mapped_column(String(200))


class EmailRequests(Base):
    """How many messages were requested in an hour for one email and kind, or by one network."""

    __tablename__ = "email_requests"
    __table_args__ = {"sqlite_with_rowid": False}

    #: A MAC, so that the table names no email that was typed.
    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    #: When the hour began, and when the last request was granted.
    hour_began_at: Mapped[float]
    last_asked_at: Mapped[float] = mapped_column(index=True)
    emails: Mapped[int]


messages = table_of(Message)
columns = messages.c
_requests = table_of(EmailRequests)

HAS_LINK = columns.expires_at.is_not(None)

#: A message with a link is sent while that works, another one while it is news. A message that was
#: tried before waits for its next try, or the operator resent it.
SENDABLE = (HAS_LINK & columns.encrypted_link.is_not(None) & (columns.expires_at > queue.NOW)) | (
    ~HAS_LINK & ((columns.tries > 0) | (columns.created_at > queue.NOW - GIVE_UP))
)


# --- statements ---------------------------------------------------------------------------------

WRITE = insert(messages)


@functools.cache
def requesting(on_postgresql: bool) -> Any:
    """Return the statement that counts a request, unless it comes too soon or exceeds the limit."""
    table = _requests.c
    now, most = bindparam("now", type_=Float), bindparam("most", type_=Integer)
    # No time lies ahead but by the difference of two clocks: one that does was written by a wrong
    # clock.
    over = (table.hour_began_at <= now - HOUR) | (table.hour_began_at > now + clock.APART)
    gap = bindparam("gap", type_=Float)
    # Without a gap nothing comes too soon: of two processes the one that read the earlier clock may
    # run second.
    soon = (
        (gap > 0) & (table.last_asked_at > now - gap) & (table.last_asked_at <= now + clock.APART)
    )
    inserted = upsert(_requests, on_postgresql).values(
        key=bindparam("the_key"), hour_began_at=now, last_asked_at=now, emails=1
    )
    changed = {
        "hour_began_at": case((over, now), else_=table.hour_began_at),
        "last_asked_at": now,
        "emails": case((over, 1), else_=table.emails + 1),
    }
    return inserted.on_conflict_do_update(
        index_elements=[table.key],
        set_=changed,
        where=~soon & (over | (table.emails < most)),
    ).returning(table.emails)
