"""An owner and a thief of one account, and what each does about it, for tests.

The thief knows the password and is signed in; only the owner reads the first mailbox. Time passes
between two acts, so that no limit on emails is met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from bienvenue import clock
from bienvenue.features.mail import Message
from tests.conftest import PASSPHRASE, Clock, Service
from tests.features.password_resets import text_of

#: What each kind of email with a link is spent by: the method, the path and the field.
SPENT_BY = {
    "account_closed": ("POST", "/account/reopen", "reopening_token"),
    "account_still_closed": ("POST", "/account/reopen", "reopening_token"),
    "email_changed": ("POST", "/email/restore", "email_restore_token"),
    "new_email_verification": ("POST", "/email/new", "email_change_token"),
    "notification_email_verification": (
        "POST",
        "/notification_email/verification",
        "notification_email_token",
    ),
    "password_reset": ("PUT", "/reset_password", "reset_token"),
}
LONG_AFTER = 100 * 86400
BETWEEN = 130


class Story:
    """One account, and what its owner and its thief did with it so far."""

    #: The acts that a story is made of, by name. Each says whether it was possible.
    ACTS: ClassVar[dict[str, Callable[[Story], bool]]] = {}

    def __init__(self, service: Service, moving: Clock, name: str, *, notified: bool) -> None:
        """Let the owner register, with a notification email if wanted, and the thief sign in."""
        self.service = service
        self.moving = moving
        self.name = name
        self.first = self.email = f"{name}@example.com"
        self.numbers = iter(range(100))
        #: The passwords that the thief knows, the last of which works, and those of before.
        self.passwords = [PASSPHRASE]
        self.known = [PASSPHRASE]
        self.clients: list[FlaskClient] = []
        #: Every address whose mailbox the thief reads.
        self.thiefs: list[str] = []
        #: The notification email, as it should be, and as it was before each change.
        self.notified: str | None = None
        self.before: list[str | None] = []
        self.closed = False
        service.auth.register_user(self.first, PASSPHRASE)
        self.owner = self.sign_in(PASSPHRASE)
        assert self.owner is not None
        if notified:
            self.notified = f"{name}@second.example.com"
            assert self._notify(self.owner, self.notified)
            # Longer ago than a thief is believed to be in the account.
            moving.forward(8 * 86400)
        self.thief = self._signs_in()
        self.clients.append(self.owner)

    # --- what both use --------------------------------------------------------------------------

    def sign_in(self, password: str) -> FlaskClient | None:
        """Sign in from a new browser; None when that is refused."""
        client = self.service.client()
        sent = {"email": self.email, "password": password}
        return client if client.post("/sessions", json=sent).status_code == 200 else None

    def mails(self, email: str, kind: str) -> Sequence[Message]:
        """Give the emails of a kind in a mailbox, newest first."""
        wanted = select(Message).where(Message.email == email, Message.kind == kind)
        with self.service.auth._db.reading() as tx:
            return tx.scalars(wanted.order_by(Message.id.desc())).all()

    def link(self, email: str, kind: str) -> str | None:
        """Give the token of the newest email of a kind in a mailbox; None without one."""
        found = self.mails(email, kind)
        if not found or found[0].encrypted_link is None:
            return None
        (token,) = re.findall(r"\?token=(\S+)", text_of(self.service, found[0]))
        return str(token)

    def spend(
        self, email: str, kind: str, client: FlaskClient | None = None
    ) -> TestResponse | None:
        """Spend the newest link of a kind in a mailbox; None without one."""
        token = self.link(email, kind)
        if token is None:
            return None
        method, path, field = SPENT_BY[kind]
        sent = {field: token}
        if kind == "password_reset":
            sent |= {"email": self.email, "new_password": self._password()}
        return (client or self.service.client()).open(path, method=method, json=sent)

    def _did(self, answer: TestResponse | None) -> bool:
        return answer is not None and answer.status_code < 300

    def _password(self) -> str:
        return f"phrase de passe numéro {next(self.numbers)}"

    def _notify(self, client: FlaskClient, email: str) -> bool:
        sent = {"notification_email": email}
        if client.put("/notification_email", json=sent).status_code != 202:
            return False
        return self._did(self.spend(email, "notification_email_verification"))

    def _own(self, email: str) -> str:
        self.thiefs.append(email)
        return email

    def _signs_in(self) -> FlaskClient | None:
        """Give the thief a fresh session, with the newest password that the thief knows."""
        client = None if not self.passwords else self.sign_in(self.passwords[-1])
        if client is not None:
            self.clients.append(client)
        return client

    def inside(self) -> FlaskClient | None:
        """Give the thief's session; a new one where the old one ended and a password works."""
        if self.thief is None or self.thief.get("/profile").status_code != 200:
            self.thief = self._signs_in()
        return self.thief

    # --- the thief ------------------------------------------------------------------------------

    def changes_email(self) -> bool:
        """Change the email, and verify it in a mailbox of the thief."""
        client, new = self.inside(), self._own(f"{self.name}.{next(self.numbers)}@example.net")
        if client is None:
            return False
        assert client.put("/email", json={"new_email": new}).status_code == 202
        assert self._did(self.spend(new, "new_email_verification", client))
        self.email = new
        self.before.append(None if self.notified in self.thiefs else self.notified)
        return True

    def asks_for_email(self) -> bool:
        """Ask for another email, and keep the link to it."""
        client, new = self.inside(), self._own(f"{self.name}.{next(self.numbers)}@example.net")
        return client is not None and self._did(client.put("/email", json={"new_email": new}))

    def closes(self) -> bool:
        """Close the account."""
        client = self.inside()
        if client is None:
            return False
        assert client.delete("/profile").status_code == 202
        self.closed = True
        return True

    def reopens(self) -> bool:
        """Reopen the account with the link in the mailbox of its email, if that is the thief's."""
        if not self.closed or self.email not in self.thiefs:
            return False
        assert self._did(self.spend(self.email, "account_closed"))
        self.closed = False
        return True

    def signs_out_all(self) -> bool:
        """Sign out every device, and sign in again."""
        client = self.inside()
        return client is not None and self._did(client.delete("/sessions?which=all"))

    def signs_out_others(self) -> bool:
        """Sign out every device but the thief's."""
        client = self.inside()
        return client is not None and self._did(client.delete("/sessions?which=others"))

    def changes_password(self) -> bool:
        """Choose a password that only the thief knows."""
        client, new = self.inside(), self._password()
        if client is None:
            return False
        sent = {"old_password": self.passwords[-1], "new_password": new}
        assert client.put("/password", json=sent).status_code == 200
        self.passwords.append(new)
        self.known.append(new)
        return True

    def resets(self) -> bool:
        """Reset the password from the mailbox of the email, if that is the thief's."""
        if self.closed or self.email not in self.thiefs:
            return False
        sent = {"email": self.email}
        assert self._did(self.service.client().post("/reset_password", json=sent))
        token, new = self.link(self.email, "password_reset"), self._password()
        sent |= {"reset_token": str(token), "new_password": new}
        assert self._did(self.service.client().put("/reset_password", json=sent))
        self.passwords.append(new)
        self.known.append(new)
        return True

    def adds_notification_email(self) -> bool:
        """Add a notification email of the thief, or replace the owner's."""
        client, new = self.inside(), self._own(f"{self.name}.{next(self.numbers)}@note.example")
        if client is None:
            return False
        assert self._notify(client, new)
        self.notified = new
        return True

    def asks_for_notification_email(self) -> bool:
        """Name a notification email, and keep the link to it."""
        client, new = self.inside(), self._own(f"{self.name}.{next(self.numbers)}@note.example")
        sent = {"notification_email": new}
        return client is not None and self._did(client.put("/notification_email", json=sent))

    def removes_notification_email(self) -> bool:
        """Remove it."""
        client = self.inside()
        if client is None or self.notified is None:
            return False
        assert client.delete("/notification_email").status_code == 204
        self.notified = None
        return True

    def tries_links(self) -> bool:
        """Spend every link in a mailbox of the thief, once the thief is out."""
        if self.email != self.first or self.passwords or not self.thiefs:
            return False
        self.assert_links_dead()
        return True

    # --- the owner ------------------------------------------------------------------------------

    def restores(self) -> bool:
        """Restore the email with the link in the first mailbox; the thief is out then."""
        if self.email == self.first:
            return False
        answer = self.spend(self.first, "email_changed")
        assert self._did(answer), None if answer is None else answer.text
        self.email = self.first
        self.notified, self.closed = self.before[0], False
        self.before.clear()
        self.passwords.clear()
        self.assert_thief_out()
        return True

    def owner_reopens(self) -> bool:
        """Reopen the account with the link in the first mailbox, where the link went."""
        if not self.closed or self.email != self.first:
            return False
        assert self._did(self.spend(self.first, "account_closed"))
        self.closed = False
        return True

    def owner_resets(self) -> bool:
        """Choose a new password from the first mailbox, while it is that of the account."""
        if self.closed or self.email != self.first:
            return False
        sent = {"email": self.first}
        assert self._did(self.service.client().post("/reset_password", json=sent))
        self._owner_chooses()
        return True

    def owner_changes_password(self) -> bool:
        """Change the password in a session that the thief has not ended; the thief is out then."""
        if self.owner is None or self.owner.get("/profile").status_code != 200:
            return False
        sent = {"old_password": PASSPHRASE, "new_password": self._password()}
        if not self._did(self.owner.put("/password", json=sent)):
            return False
        self.passwords.clear()
        return True

    def owner_signs_out_others(self) -> bool:
        """Sign out every device but the owner's; the thief still knows the password."""
        return self.owner is not None and self._did(self.owner.delete("/sessions?which=others"))

    def _owner_chooses(self) -> None:
        token, new = self.link(self.first, "password_reset"), self._password()
        sent = {"email": self.first, "reset_token": token, "new_password": new}
        answer = self.service.client().put("/reset_password", json=sent)
        assert answer.status_code == 200, answer.text
        self.passwords.clear()
        self.owner = self.sign_in(new)

    # --- how it ends ----------------------------------------------------------------------------

    def does(self, act: str) -> bool:
        """Let time pass, and then an act happen, if it is possible."""
        self.moving.forward(BETWEEN)
        return Story.ACTS[act](self)

    def ends(self) -> None:
        """The owner uses the link of the first mailbox, and is in; the thief has nothing left."""
        self.moving.forward(BETWEEN)
        restored = self.restores()
        if not restored:
            self.owner_reopens()
            sent = {"email": self.first}
            assert self._did(self.service.client().post("/reset_password", json=sent))
        self._owner_chooses()
        assert self.owner is not None
        assert self.owner.get("/profile").get_json()["email"] == self.first
        self.assert_thief_out()
        self.assert_links_dead()
        shown = self.owner.get("/notification_email").get_json()
        assert (shown["notification_email"], shown["waiting"]) == (self.notified, None)
        if self.notified in self.thiefs:
            assert not restored
            self._owner_removes(told="notification_email_added")
        user = self.service.auth.accounts.find(self.first)
        assert user.disabled_at is None
        self.service.auth.account_closure.sweep(clock.now() + LONG_AFTER, 1000)
        assert self.service.auth.accounts.find(self.first).id == user.id

    def _owner_removes(self, told: str) -> None:
        """Remove what the thief added without a change, of which the owner was told by email."""
        notices = [text_of(self.service, one) for one in self.mails(self.first, told)]
        assert any(str(self.notified) in notice for notice in notices)
        assert self.owner is not None
        assert self.owner.delete("/notification_email").status_code == 204

    def assert_thief_out(self) -> None:
        """No session from before works, and no password that the thief knows."""
        assert [one.get("/profile").status_code for one in self.clients] == [401] * len(
            self.clients
        )
        assert [self.sign_in(password) for password in self.known] == [None] * len(self.known)

    def assert_links_dead(self) -> None:
        """No link in a mailbox of the thief does anything."""
        for email in self.thiefs:
            for kind in SPENT_BY:
                assert not self._did(self.spend(email, kind, self.owner)), (email, kind)


Story.ACTS.update(
    {
        one.__name__: one
        for one in (
            Story.changes_email,
            Story.closes,
            Story.restores,
            Story.adds_notification_email,
            Story.asks_for_email,
            Story.asks_for_notification_email,
            Story.removes_notification_email,
            Story.changes_password,
            Story.resets,
            Story.signs_out_all,
            Story.signs_out_others,
            Story.reopens,
            Story.owner_reopens,
            Story.owner_resets,
            Story.owner_changes_password,
            Story.owner_signs_out_others,
            Story.tries_links,
        )
    }
)
