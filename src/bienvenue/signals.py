"""Signals: what an application hears of users, with blinker as Flask's own signals.

    @user_registered.connect_via(app)
    def greet(sender: Flask, user: str, email: str, **facts: object) -> None: ...

A signal is sent after the commit. A receiver that raises an exception undoes nothing and changes no
answer; the exception is logged. What must be written in the same transaction belongs in a feature
of the application (`Feature.on_event`).
"""

import logging
from collections.abc import Callable
from typing import Any

from blinker import NamedSignal, Namespace
from sqlalchemy import select

from bienvenue.db import DB
from bienvenue.registry import Event
from bienvenue.user import User

_log = logging.getLogger("bienvenue")
_signals = Namespace()

#: An account was created: by its user, by an invitation, by a command or by an import.
user_registered = _signals.signal("user-registered")
#: The current email of an account was verified.
email_verified = _signals.signal("email-verified")
#: A session was opened.
user_signed_in = _signals.signal("user-signed-in")
#: Sessions ended otherwise than by their age: one of them (`session`), or all but the one in use.
user_signed_out = _signals.signal("user-signed-out")
#: The email of an account was changed from `old` to `new`.
email_changed = _signals.signal("email-changed")
#: A password was changed or reset.
password_changed = _signals.signal("password-changed")
#: A user closed the account; it is deleted at `until`.
account_closed = _signals.signal("account-closed")
#: An account and all its data were deleted.
account_deleted = _signals.signal("account-deleted")

#: The signal of each event, and which of the event's facts it passes on.
SIGNALS: dict[str, tuple[NamedSignal, tuple[str, ...]]] = {
    "account.registered": (user_registered, ()),
    "account.imported": (user_registered, ()),
    "email.verified": (email_verified, ()),
    "session.opened": (user_signed_in, ("session",)),
    "session.ended": (user_signed_out, ("session", "reason")),
    "sessions.ended": (user_signed_out, ("reason",)),
    "email.changed": (email_changed, ("old", "new")),
    "email.assigned": (email_changed, ("old", "new")),
    "email.restored": (email_changed, ("old", "new")),
    "password.changed": (password_changed, ()),
    "password.reset": (password_changed, ()),
    "account.closed": (account_closed, ("until",)),
    "account.deleted": (account_deleted, ()),
}


class Signals:
    """Sends the signals of one service."""

    name = "signals"

    def __init__(self, db: DB, sender: object) -> None:
        """Take the database of the users, and the sender that receivers may ask for."""
        self._db = db
        #: The Flask application that the service is in, or the Auth by itself.
        self.sender = sender

    def after_commit(self, event: Event) -> None:
        """Send the signal of an event to its receivers. Raises DatabaseUnavailable."""
        signal, passed = SIGNALS.get(event.name, (None, ()))
        if signal is None or not signal.has_receivers_for(self.sender):
            return
        facts = {name: event.facts[name] for name in passed if name in event.facts}
        who = self._who(event)
        # A deleted account ends its sessions too; its deletion alone knows the uid still.
        if who is not None:
            self._send(signal, event=event.name, **who, **facts)

    def _who(self, event: Event) -> dict[str, str] | None:
        if event.user_uid is not None:
            return {"user": event.user_uid}
        with self._db.reading() as tx:
            row = tx.execute(select(User.uid, User.email).where(User.id == event.user_id)).first()
        return None if row is None else {"user": row.uid, "email": row.email}

    def _send(self, signal: NamedSignal, **values: Any) -> None:
        if signal.is_muted:
            return
        # One by one: `Signal.send` ends at the first receiver that raises.
        for receiver in signal.receivers_for(self.sender):
            try:
                self._in_sync(receiver)(self.sender, **values)
            except Exception:  # noqa: BLE001 (committed and answered; this undoes nothing)
                _log.exception("a receiver of the signal %s failed", signal.name)

    def _in_sync(self, receiver: Callable[..., Any]) -> Callable[..., Any]:
        """Return a receiver that may be called; Flask runs one that is async."""
        run: Callable[[Callable[..., Any]], Callable[..., Any]] | None
        run = getattr(self.sender, "ensure_sync", None)
        return receiver if run is None else run(receiver)
