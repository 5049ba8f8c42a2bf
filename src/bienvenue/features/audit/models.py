"""The tables of the audit log, its settings, and the bytes that a seal covers."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import Field
from sqlalchemy import BigInteger, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue.settings import Seconds, Section
from bienvenue.user import Base, table_of

CLEAR = frozenset(
    {
        "accounts",
        "actor",
        "channel",
        "hashes",
        "message",
        "message_uid",
        "policy",
        "reason",
        "scopes",
        "session",
        "token",
    }
)
"""Facts that are not personal data. Every fact that is not named here counts as personal."""

_LONGEST = 512
_big = BigInteger().with_variant(Integer(), "sqlite")


class AuditRow(Base):
    """One event, or all refusals of one key in one minute."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_user_id_at", "user_id", "at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_big, primary_key=True)
    at: Mapped[float] = mapped_column(index=True)
    name: Mapped[str] = mapped_column(String(64))
    #: No foreign key: the rows of an account stay after it is deleted.
    user_id: Mapped[int | None]
    #: The facts that are not personal, as JSON.
    facts: Mapped[str] = mapped_column(Text)
    #: How often the event happened in its minute; 1 for an event that is not counted.
    times: Mapped[int]
    #: SHA-256 over the salt and the personal values; NULL when there were none.
    commitment: Mapped[str | None] = mapped_column(String(64))
    #: The key of a counted row; NULL once it is sealed, so that a late event starts a new row.
    slot: Mapped[str | None] = mapped_column(String(64), unique=True)
    #: The batch it was sealed in; NULL until then.
    batch: Mapped[int | None] = mapped_column(index=True)


class Personal(Base):
    """The personal values of one row. Erasing them leaves the commitment, which reveals nothing."""

    __tablename__ = "audit_personal"

    row_id: Mapped[int] = mapped_column(_big, primary_key=True, autoincrement=False)
    at: Mapped[float] = mapped_column(index=True)
    salt: Mapped[str] = mapped_column(String(32))
    content: Mapped[str] = mapped_column(Text)


class SealedBatch(Base):
    """The seal of one batch and, through the MAC of the batch before, of all earlier ones."""

    __tablename__ = "audit_batches"

    batch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[float]
    size: Mapped[int]
    #: Id, time and digest of every row of the batch as JSON, to name a row that is missing.
    rows: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    mac: Mapped[str] = mapped_column(String(64))


rows = table_of(AuditRow).c
personals = table_of(Personal).c
seals = table_of(SealedBatch).c


class AuditSettings(Section):
    """How long the audit log keeps personal values."""

    audit_personal: Seconds = Field(
        365 * 86400, description="How long the audit log keeps IPs and devices; rows stay."
    )


class Entry(NamedTuple):
    """One row of the audit log, as read. `at` is in seconds since 1970."""

    id: int
    at: float
    name: str
    #: The meaning of the event, in a sentence for its user.
    sentence: str
    user_id: int | None
    #: The public name of the user; None when the account is deleted or there was none.
    user_uid: str | None
    facts: Mapping[str, Any]
    #: Empty when there were no personal values or they are erased.
    personal: Mapping[str, Any]
    times: int
    batch: int | None


def written_facts(facts: Mapping[str, Any]) -> str:
    """Return facts as JSON in one canonical form; each text is cut at 512 characters."""
    return json.dumps(
        {name: v[:_LONGEST] if isinstance(v, str) else v for name, v in facts.items()},
        sort_keys=True,
        separators=(",", ":"),
    )


def new_salt() -> str:
    """Return the salt of a commitment: 128 random bits, so that no ip can be guessed from it."""
    return secrets.token_hex(16)


def commitment(salt: str, content: str) -> str:
    """Return the hex SHA-256 that stands for personal values. No part contains a line break."""
    return hashlib.sha256(f"{salt}\n{content}".encode(errors="backslashreplace")).hexdigest()


def digest(row: Any) -> str:
    """Return the hex SHA-256 of a row without its batch, which the seal covers.

    A value of another type than the column's, which SQLite accepts, gives another digest.
    """
    # SQLite returns a whole number of seconds as an integer after an UPDATE.
    at = float(row.at) if isinstance(row.at, int) else row.at
    parts = [row.id, at, row.name, row.user_id, row.facts, row.times, row.commitment]
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()


def sealed_text(batch: int, at: float, size: int, previous: str, listed: str) -> bytes:
    """Return the bytes that the MAC of a batch covers."""
    return f"{batch}\n{at!r}\n{size}\n{previous}\n{listed}".encode(errors="backslashreplace")
