"""authentications: sign-ins in progress, for which another factor is required.

The browser holds a secret of its own, which is no session: it opens no page but those of the
factors. It works for ten minutes, for one sign-in, and ends with whatever ends sessions.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    LargeBinary,
    String,
    Text,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, purposes, tokens
from bienvenue.authentication import Attempt, Authentication, Caller
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Reason, Refusal
from bienvenue.settings import Section
from bienvenue.user import Base, User, table_of
from bienvenue.web.cookies import AUTHENTICATION_LIFETIME

# --- table --------------------------------------------------------------------------------------


class PendingAuthentication(Base):
    """One sign-in in progress."""

    __tablename__ = "authentications"
    __table_args__ = {"sqlite_with_rowid": False}

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    #: The completed methods, separated by spaces (RFC 8176).
    amr: Mapped[str] = mapped_column(String(100))
    authenticated_at: Mapped[float]
    #: The attempt to settle, where the visitor goes on and how long the session lives, as JSON.
    data: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[float] = mapped_column(index=True)


_pending = table_of(PendingAuthentication)
_table = _pending.c


# --- errors -------------------------------------------------------------------------------------


class NoSignInInProgress(Refusal):
    """The sign-in of this browser was completed already, or began more than ten minutes ago."""

    status = 401
    code = "no_sign_in_in_progress"
    message = "Sign in again from the beginning."
    redirect_to = "/sessions/new"


# --- operations ---------------------------------------------------------------------------------


class Authentications(Feature[Section]):
    """The operations on sign-ins in progress."""

    name = "authentications"
    events: ClassVar = {
        "mfa.required": "A first factor was right, and another one is required.",
    }
    sentences: ClassVar = {
        "mfa.required": "A sign-in had the right password and needed another step.",
    }

    @retried
    def store(self, caller: Caller, authentication: Authentication) -> str:
        """Store a sign-in until its next factor; return the secret by which it is found.

        A secret that it had before stops working. A hash that is due is stored at once. Raises
        NoSignInInProgress for one that was stored, and completed or revoked since.
        """
        secret, user = tokens.new(), authentication.user
        attempt = authentication.attempt
        row: dict[str, Any] = {
            "digest": _digest(secret),
            "user_id": user.id,
            "amr": " ".join(authentication.amr),
            "authenticated_at": authentication.at,
            "data": json.dumps(
                {
                    "attempt": None if attempt is None else asdict(attempt),
                    "return_to": authentication.return_to,
                    "remember": authentication.remember,
                    "lifetime": authentication.lifetime,
                }
            ),
            "expires_at": clock.now() + AUTHENTICATION_LIFETIME,
        }
        with self._db.transaction() as tx:
            if authentication.stored_digest is not None:
                # Ten minutes from the first factor on, however many follow.
                del row["expires_at"]
                here = (_table.digest == authentication.stored_digest) & _alive()
                if tx.change(update(PendingAuthentication).where(here).values(row)) != 1:
                    raise NoSignInInProgress
                return secret
            tx.execute(insert(_pending), row)
            if authentication.rehashed is not None:
                same = (User.id == user.id) & (User.hashed_password == user.hashed_password)
                better = update(User).where(same)
                tx.change(better.values(hashed_password=authentication.rehashed))
            self._registry.publish(Event(caller, "mfa.required", user.id))
        return secret

    def find(self, secret: str | None) -> Authentication:
        """Return the sign-in of a secret, as far as it has come. Raises NoSignInInProgress."""
        if not tokens.well_formed(secret):
            raise NoSignInInProgress
        query = select(User, *_table).join(_pending, _table.user_id == User.id)
        mine = (_table.digest == _digest(str(secret))) & _alive() & User.disabled_at.is_(None)
        with self._db.reading() as tx:
            row = tx.execute(query.where(mine)).one_or_none()
        if row is None:
            raise NoSignInInProgress
        data = json.loads(row.data)
        return Authentication(
            row.User,
            tuple(row.amr.split()),
            row.authenticated_at,
            None if data["attempt"] is None else Attempt(**data["attempt"]),
            return_to=data["return_to"],
            # An earlier version stored neither.
            remember=data.get("remember", True),
            lifetime=data.get("lifetime"),
            stored_digest=row.digest,
        )

    def spend(self, authentication: Authentication) -> None:
        """Spend a stored sign-in, in the transaction that opens its session.

        Raises NoSignInInProgress when it was spent before, revoked, or expired.
        """
        if authentication.stored_digest is None:
            return
        here = (_table.digest == authentication.stored_digest) & _alive()
        with self._db.transaction() as tx:
            if tx.change(delete(PendingAuthentication).where(here)) != 1:
                raise NoSignInInProgress

    def revoke(
        self,
        _caller: Caller,
        user_id: int,
        _reason: Reason,
        _keep_session: bytes | None = None,
    ) -> None:
        """End the sign-ins in progress of an account that changed."""
        with self._db.transaction() as tx:
            tx.change(delete(PendingAuthentication).where(_table.user_id == user_id))

    def export(self, user_id: int) -> Mapping[str, Any]:
        """Return the sign-ins in progress, with their methods and times (RFC 3339 in UTC)."""
        query = select(_table.amr, _table.authenticated_at, _table.expires_at, _table.data)
        query = query.where(_table.user_id == user_id).order_by(_table.expires_at)
        with self._db.reading() as tx:
            found = tx.execute(query).all()
        return {
            "sign_ins_in_progress": [
                {
                    "amr": row.amr,
                    "authenticated_at": clock.written(row.authenticated_at),
                    "expires_at": clock.written(row.expires_at),
                    "remembered": json.loads(row.data).get("remember", True),
                }
                for row in found
            ]
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` sign-ins that expired before `now`; return how many."""
        with self._db.transaction() as tx:
            over = select(_table.digest).where(_table.expires_at <= now).limit(limit)
            return tx.change(
                delete(PendingAuthentication).where(
                    _table.digest.in_(over), _table.expires_at <= now
                )
            )


def _alive() -> ColumnElement[bool]:
    now = clock.now()
    latest = now + AUTHENTICATION_LIFETIME + clock.APART
    return (_table.expires_at > now) & (_table.expires_at <= latest)


def _digest(secret: str) -> bytes:
    return tokens.digest(purposes.AUTHENTICATION, secret)
