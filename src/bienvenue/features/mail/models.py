"""The outbox: one row a letter, and the statements by which carriers share it."""

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
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.db import upsert
from bienvenue.feature import Refusal
from bienvenue.user import Base, table_of

LEASE = 300.0
"""Seconds a carrier has for a letter it claimed; then another may take it.

Twice what the longest conversation with a server is allowed to take.
"""

GIVE_UP = 2 * 86400.0
"""Seconds after which a letter that no server took is dead."""

KEPT = 30 * 86400.0
"""Seconds a letter is kept, whatever became of it."""

FIRST_PAUSE, LONGEST_PAUSE = 30.0, 3600.0
"""Seconds between two tries, first and at most."""

TROUBLES = 3
"""Letters that fail one after another before a round ends: the server is at fault, not they."""

HOUR = 3600.0
"""Seconds in which letters to one email, or asked for by one network, are counted."""

_big = BigInteger().with_variant(Integer(), "sqlite")


class MessageState(enum.StrEnum):
    """Where a letter is on its way."""

    #: Not carried yet; without a server it stays so.
    WAITING = "waiting"
    #: A server took it.
    SENT = "sent"
    #: A server refused it for good, or none took it for two days.
    DEAD = "dead"
    #: Its token was spent, replaced or over before anybody carried it.
    WITHDRAWN = "withdrawn"
    #: Written for nobody, so that an unknown email costs what a known one does.
    VOID = "void"


class Message(Base):
    """One letter. What it says is made of `kind` and `facts`; `sealed` has what bears a token."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_state_due_at", "state", "due"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_big, primary_key=True)
    #: Its public name, and the left side of its Message-ID.
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    at: Mapped[float] = mapped_column("created_at", key="at", index=True)
    kind: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int | None] = mapped_column(index=True)
    #: Where it goes.
    email: Mapped[str] = mapped_column(String(254), index=True)
    #: Plain values for its template as JSON, none of them secret.
    facts: Mapped[str] = mapped_column(Text)
    #: The link it bears, sealed; NULL when it bears none, or none any more.
    sealed: Mapped[bytes | None] = mapped_column("encrypted_link", LargeBinary, key="sealed")
    #: When that link is over.
    expires: Mapped[float | None] = mapped_column("expires_at", key="expires")
    state: Mapped[str] = mapped_column(String(16))
    #: When a carrier may take it; while one has it, when the claim ends.
    due: Mapped[float] = mapped_column("due_at", key="due")
    #: How often it was claimed. A carrier marks only what it claimed last.
    tries: Mapped[int]
    sent: Mapped[float | None] = mapped_column("sent_at", key="sent")
    #: Why the last try failed; neither the email nor anything of the letter.
    problem: Mapped[str | None] = mapped_column(String(200))


class EmailRequests(Base):
    """How many letters of one kind left for one key, an email or a network, in one hour."""

    __tablename__ = "email_requests"
    __table_args__ = {"sqlite_with_rowid": False}

    #: A MAC, so the table names no email that was typed.
    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    #: When the hour began, and when the last letter left.
    since: Mapped[float] = mapped_column("hour_began_at", key="since")
    last: Mapped[float] = mapped_column("last_asked_at", key="last", index=True)
    letters: Mapped[int] = mapped_column("emails", key="letters")


class NoSuchMessage(Refusal):
    """No letter has this name."""

    status = 404
    code = "no_such_message"
    message = "There is no email with this name."


letters = table_of(Message)
columns = letters.c
_asked = table_of(EmailRequests)


# --- statements ---------------------------------------------------------------------------------


@functools.cache
def claiming(on_postgresql: bool) -> Any:
    """Write the statement that takes the next letter due at `now` for as long as LEASE.

    Other carriers take other letters: PostgreSQL passes over the rows they hold, and SQLite has
    one writer at a time.
    """
    now = bindparam("now", type_=Float)
    waiting = (columns.state == MessageState.WAITING) & (columns.due <= now)
    # A letter whose link was erased leaves without it, when the operator says so.
    alive = columns.sealed.is_(None) | columns.expires.is_(None) | (columns.expires > now)
    following = select(columns.id).where(waiting, alive).order_by(columns.due, columns.id).limit(1)
    if on_postgresql:
        following = following.with_for_update(skip_locked=True)
    return (
        update(letters)
        .where(columns.id == following.scalar_subquery(), waiting)
        .values(due=now + LEASE, tries=columns.tries + 1)
        .returning(*columns)
    )


@functools.cache
def asking(on_postgresql: bool) -> Any:
    """Write the statement that counts a letter, unless it is too soon or there were too many."""
    table = _asked.c
    now, most = bindparam("now", type_=Float), bindparam("most", type_=Integer)
    over = table.since <= now - HOUR
    gap = bindparam("gap", type_=Float)
    # Without a gap no clock refuses anybody: whoever read it earlier may come here later.
    soon = (gap > 0) & (table.last > now - gap)
    inserted = upsert(_asked, on_postgresql).values(
        key=bindparam("the_key"), since=now, last=now, letters=1
    )
    changed = {
        "since": case((over, now), else_=table.since),
        "last": now,
        "letters": case((over, 1), else_=table.letters + 1),
    }
    return inserted.on_conflict_do_update(
        index_elements=[table.key],
        set_=changed,
        where=~soon & (over | (table.letters < most)),
    ).returning(table.letters)


WRITE = insert(letters)
