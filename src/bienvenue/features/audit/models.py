"""The tables of the record, what is sealed of a row, and its settings."""

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

CLEAR = frozenset({"message", "message_uid", "policy", "reason", "session"})
"""Facts that say nothing of a person. Every other fact is personal, until it is named here."""

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
    #: No foreign key: what happened to an account outlives it.
    user_id: Mapped[int | None]
    #: The clear facts as JSON.
    facts: Mapped[str] = mapped_column(Text)
    #: How often it happened in its minute; 1 for what is not counted.
    times: Mapped[int]
    #: SHA-256 over the salt and the personal values; None when there were none.
    commitment: Mapped[str | None] = mapped_column(String(64))
    #: What a counted row counts; NULL once it is sealed, so that a late one begins another row.
    slot: Mapped[str | None] = mapped_column(String(64), unique=True)
    #: The batch it was sealed in; NULL until then.
    batch: Mapped[int | None] = mapped_column(index=True)


class Personal(Base):
    """The personal values of one row. Erasing it leaves the commitment, which says nothing."""

    __tablename__ = "audit_personal"

    row_id: Mapped[int] = mapped_column(_big, primary_key=True, autoincrement=False)
    at: Mapped[float] = mapped_column(index=True)
    salt: Mapped[str] = mapped_column(String(32))
    content: Mapped[str] = mapped_column(Text)


class SealedBatch(Base):
    """The seal over one batch and, by the mac before it, over all batches before."""

    __tablename__ = "audit_batches"

    batch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[float]
    size: Mapped[int]
    #: Id, time and digest of every row of the batch as JSON: so a missing row has a name.
    rows: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    mac: Mapped[str] = mapped_column(String(64))


rows = table_of(AuditRow).c
personals = table_of(Personal).c
seals = table_of(SealedBatch).c


class AuditSettings(Section):
    """How long the record keeps what is personal."""

    audit_personal: Seconds = Field(
        365 * 86400, description="How long the audit log keeps IPs and devices; rows stay."
    )


class Entry(NamedTuple):
    """One row of the record, read for a person."""

    id: int
    at: float
    name: str
    #: What it means, in a sentence for the person it happened to.
    sentence: str
    user_id: int | None
    #: The public name of the account, None when it is gone or there was none.
    user_uid: str | None
    facts: Mapping[str, Any]
    #: Empty when there was nothing personal, and once it is erased.
    personal: Mapping[str, Any]
    times: int
    batch: int | None


def written_facts(facts: Mapping[str, Any]) -> str:
    """Write facts as JSON in its one canonical form; a long text is cut."""
    return json.dumps(
        {name: v[:_LONGEST] if isinstance(v, str) else v for name, v in facts.items()},
        sort_keys=True,
        separators=(",", ":"),
    )


def new_salt() -> str:
    """Make the salt of a commitment: 128 random bits, so that an ip cannot be guessed from it."""
    return secrets.token_hex(16)


def commitment(salt: str, content: str) -> str:
    """Give what is sealed in place of personal values. Neither part holds a line's end."""
    return hashlib.sha256(f"{salt}\n{content}".encode(errors="backslashreplace")).hexdigest()


def digest(row: Any) -> str:
    """Give what is sealed of a row: SHA-256 over all of it but its batch.

    A value of another type than the column's, as SQLite lets one write, gives another digest.
    """
    # SQLite gives a whole number of seconds back as an integer after an UPDATE.
    at = float(row.at) if isinstance(row.at, int) else row.at
    parts = [row.id, at, row.name, row.user_id, row.facts, row.times, row.commitment]
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()


def sealed_text(batch: int, at: float, size: int, previous: str, listed: str) -> bytes:
    """Give what the mac of a seal is made over."""
    return f"{batch}\n{at!r}\n{size}\n{previous}\n{listed}".encode(errors="backslashreplace")
