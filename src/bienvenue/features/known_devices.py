"""known_devices: browsers that signed in to an account before, which have limits of their own.

The cookie `device_id` holds 256 random bits and gives no access. It only selects the count of
failures that a sign-in belongs to, so that wrong passwords from unknown devices don't lock the
owner out (NIST SP 800-63B-4 section 3.2.2). One cookie serves all accounts of a browser. Signing
out keeps it; a password change makes all devices unknown except the one that changed it.
"""

from typing import Any, ClassVar

from sqlalchemy import (
    BindParameter,
    ForeignKey,
    LargeBinary,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, purposes, tokens
from bienvenue.authentication import Caller
from bienvenue.db import retried
from bienvenue.feature import Feature, Reason
from bienvenue.settings import Section
from bienvenue.user import Base, User, table_of
from bienvenue.web.page import DEVICE_LIFETIME

MOST = 100
"""Most known devices of an account; the least recently used is deleted first."""


# --- the table ----------------------------------------------------------------------------------


class KnownDevice(Base):
    """One known device of one account."""

    __tablename__ = "known_devices"
    __table_args__ = {"sqlite_with_rowid": False}

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    first_seen_at: Mapped[float]
    last_seen_at: Mapped[float] = mapped_column(index=True)


_devices = table_of(KnownDevice)
_table = _devices.c


# --- operations ---------------------------------------------------------------------------------


class KnownDevices(Feature[Section]):
    """The operations on known devices."""

    name = "known_devices"
    events: ClassVar = {"device.first_seen": "A user signed in from a new device."}
    sentences: ClassVar = {
        "device.first_seen": "A new device signed in.",
    }
    notices: ClassVar = {"device.first_seen": "new_device"}

    def knows(self, email: str, secret: str | None) -> bool:
        """Return whether the browser with this secret signed in to the account of this email."""
        if not tokens.well_formed(secret):
            return False
        with self._db.reading() as tx:
            wanted = {"the_digest": _digest(str(secret)), "the_email": email}
            now = clock.now()
            unexpired = {"used_after": now - DEVICE_LIFETIME, "used_until": now + clock.APART}
            return tx.execute(_KNOWN, wanted | unexpired).first() is not None

    @retried
    def remember(self, user_id: int, secret: str | None) -> tuple[str, bool]:
        """Make a browser a known device; return its secret and whether it was unknown before."""
        kept = str(secret) if tokens.well_formed(secret) else tokens.new()
        now = clock.now()
        digest = _digest(kept)
        with self._db.transaction() as tx:
            one = {"the_user": user_id, "the_digest": digest}
            new = not tx.change(_USED, one | {"now": now})
            if new:
                tx.execute(
                    _NOTED,
                    {
                        "user_id": user_id,
                        "digest": digest,
                        "first_seen_at": now,
                        "last_seen_at": now,
                    },
                )
                tx.change(_TOO_MANY, one)
        return kept, new

    def has_one(self, user_id: int) -> bool:
        """Return whether the account has exactly one known device."""
        with self._db.reading() as tx:
            known = select(_table.digest).where(_table.user_id == user_id).limit(2)
            return len(tx.execute(known).all()) == 1

    def revoke(
        self, _caller: Caller, user_id: int, _reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete all known devices of an account whose secrets changed."""
        with self._db.transaction() as tx:
            tx.change(delete(KnownDevice).where(_table.user_id == user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the times at which each known device was first and last seen."""
        with self._db.reading() as tx:
            rows = tx.scalars(
                select(KnownDevice)
                .where(_table.user_id == user_id)
                .order_by(_table.last_seen_at.desc())
            ).all()
        return {
            "known_devices": [
                {
                    "first_seen_at": clock.written(row.first_seen_at),
                    "last_seen_at": clock.written(row.last_seen_at),
                }
                for row in rows
            ]
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` devices whose cookie expired; return how many."""
        with self._db.transaction() as tx:
            over = (
                select(_table.digest)
                .where(_table.last_seen_at <= now - DEVICE_LIFETIME)
                .limit(limit)
            )
            return tx.change(
                delete(KnownDevice).where(
                    _table.digest.in_(over), _table.last_seen_at <= now - DEVICE_LIFETIME
                )
            )


def _digest(secret: str) -> bytes:
    return tokens.digest(purposes.KNOWN_DEVICE, secret)


# --- statements ---------------------------------------------------------------------------------

# Every sign-in runs these. Building one each time took longer than the database takes to run it.

_USER: BindParameter[int] = bindparam("the_user")
_DIGEST: BindParameter[bytes] = bindparam("the_digest")
_KNOWN = (
    select(_table.digest)
    .join(User, User.id == _table.user_id)
    .where(_table.digest == _DIGEST, User.email == bindparam("the_email"))
    .where(
        _table.last_seen_at > bindparam("used_after"),
        _table.last_seen_at <= bindparam("used_until"),
    )
)
_USED = (
    update(_devices)
    .where(_table.user_id == _USER, _table.digest == _DIGEST)
    .values(last_seen_at=bindparam("now"))
)
_NOTED = insert(_devices)
_TOO_MANY = delete(_devices).where(
    _table.user_id == _USER,
    _table.digest.not_in(
        select(_table.digest)
        .where(_table.user_id == _USER)
        .order_by((_table.digest == _DIGEST).desc(), _table.last_seen_at.desc())
        .limit(MOST)
    ),
)
