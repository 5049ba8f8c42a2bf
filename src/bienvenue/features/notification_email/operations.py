"""The operations on notification emails."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, delete, exists, insert, select

from bienvenue import clock, normalize, user_agent, user_fields
from bienvenue.authentication import Caller
from bienvenue.db import retried, upsert
from bienvenue.feature import Event, Feature, MenuEntry, Reason, needs
from bienvenue.features.accounts import Accounts
from bienvenue.features.mail import Mail
from bienvenue.features.notification_email.errors import (
    NoNotificationEmail,
    SameAsAccountEmail,
    WrongNotificationEmailToken,
)
from bienvenue.features.notification_email.models import (
    NOTIFICATION_EMAIL,
    NOTIFICATION_EMAIL_LINK,
    NotificationEmailSettings,
    NotificationEmailState,
    notification_emails,
)
from bienvenue.features.one_time_tokens import OneTimeToken, OneTimeTokens, Token, columns
from bienvenue.user import SignedIn, User, table_of
from bienvenue.user_fields import UserField
from bienvenue.web.page import Pages
from bienvenue.web.refusals import NotSignedIn

_table = notification_emails.c


class NotificationEmails(Feature[NotificationEmailSettings]):
    """The operations on notification emails."""

    name = "notification_email"
    _accounts = needs(Accounts)
    _mail = needs(Mail)
    _one_time_tokens = needs(OneTimeTokens)
    Settings = NotificationEmailSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "notification_email.requested": "A notification email was entered and sent a link.",
        "notification_email.added": "A notification email was verified.",
        "notification_email.removed": "A notification email was removed.",
    }
    sentences: ClassVar = {
        "notification_email.added": "A notification email was added.",
        "notification_email.requested": "A notification email was requested.",
        "notification_email.removed": "A notification email was removed.",
    }
    menu = (
        MenuEntry(
            "/notification_email",
            "Notification email",
            "It receives security notifications too. You can't sign in with it.",
            "Manage",
            20,
        ),
    )
    notices: ClassVar = {
        "notification_email.added": "notification_email_added",
        "notification_email.removed": "notification_email_removed",
    }
    links = (NOTIFICATION_EMAIL, NOTIFICATION_EMAIL_LINK)

    user_fields: ClassVar = (
        UserField(
            "notification_email",
            "another verified email, which gets the notices too",
            user_fields.email,
        ),
    )

    def context(self) -> dict[str, Any]:
        """Return for how many seconds its link works."""
        return {"lifetimes": {"notification_email": self.settings.notification_email_lifetime}}

    def request(self, caller: Caller, me: SignedIn, email: str) -> None:
        """Send a link to an address, which becomes the notification email once it is verified.

        The result is the same whether the address has an account or not; the verified one stays
        until then. Beyond the limit of the address no message is sent; the request then waits for a
        link that reached the address already. Raises MalformedEmail, SameAsAccountEmail,
        TooManyEmails, and NotSignedIn when the session or the account changed meanwhile (ASVS
        6.3.7).
        """
        address = self._accounts.new_email(email, "notification_email")
        if address == me.email:
            raise SameAsAccountEmail("notification_email")
        self._one_time_tokens.admit(caller, NOTIFICATION_EMAIL, me.user_uid)
        self._request(caller, me, address)

    @retried
    def _request(self, caller: Caller, me: SignedIn, email: str) -> None:
        links, lifetime = self._one_time_tokens, self.settings.notification_email_lifetime
        with self._db.transaction():
            sends = links.throttle(caller, NOTIFICATION_EMAIL, email, me.user_id)
            mine = (
                (User.id == me.user_id)
                & (User.session_id == me.generation)
                & User.disabled_at.is_(None)
            )
            if not links.keep(
                links.new(caller, NOTIFICATION_EMAIL, lifetime),
                sent_to=email,
                user_id=me.user_id,
                slot=me.user_id,
                where=exists().where(mine),
            ):
                raise NotSignedIn
            queued = self._send_link(caller, me, email) if sends else {}
            event = {"session": me.session_uid, "notification_email": email}
            self._registry.publish(
                Event(caller, "notification_email.requested", me.user_id, event | queued)
            )

    def _send_link(self, caller: Caller, me: SignedIn, email: str) -> dict[str, str]:
        links = self._one_time_tokens
        link = links.new(caller, NOTIFICATION_EMAIL_LINK, self.settings.notification_email_lifetime)
        queued = self._mail.write(
            "notification_email_verification",
            email,
            me.user_id,
            {"email": me.email},
            link=link.path,
            expires=link.expires_at,
        )
        links.keep(
            link,
            sent_to=email,
            user_id=me.user_id,
            message_uid=queued["message_uid"],
            slot=f"{me.user_id} {email}",
        )
        return queued

    def email_of(self, user_id: int) -> str | None:
        """Return the verified notification email of an account, or None."""
        with self._db.reading() as tx:
            return tx.scalar(select(_table.email).where(_table.user_id == user_id))

    def stored(self, user_id: int) -> dict[str, Any] | None:
        """Return the notification email of an account as values for `revert`, or None."""
        with self._db.reading() as tx:
            row = tx.execute(
                select(_table.email, _table.verified_at).where(_table.user_id == user_id)
            ).one_or_none()
        return None if row is None else row._asdict()

    def of(self, user_id: int) -> NotificationEmailState:
        """Return the notification email of an account, and the one that is not verified yet."""
        with self._db.reading() as tx:
            row = tx.execute(
                select(notification_emails).where(_table.user_id == user_id)
            ).one_or_none()
        pending = self._one_time_tokens.of_user(NOTIFICATION_EMAIL, user_id)
        waiting = None if pending is None else pending.sent_to
        if row is None:
            return NotificationEmailState(None, None, waiting)
        return NotificationEmailState(row.email, clock.written(row.verified_at), waiting)

    def _waiting(self, user_id: int | None, email: str) -> ColumnElement[bool]:
        """Return the condition that an account, which is enabled, asked for this address last."""
        owner = (User.id == columns.user_id) & User.disabled_at.is_(None)
        mine = (columns.user_id == user_id) & (columns.sent_to == email)
        return mine & exists().where(owner).correlate(table_of(OneTimeToken))

    def _account_of(self, mailbox: Token, me: SignedIn | None) -> int | None:
        """Return the account whose request a link completes; None when none waits for it.

        It is the account of the session, if it asked for the address, and else the one whose
        request sent the link.
        """
        for user_id in (None if me is None else me.user_id, mailbox.user_id):
            if self._one_time_tokens.list(
                NOTIFICATION_EMAIL, self._waiting(user_id, mailbox.sent_to)
            ):
                return user_id
        return None

    def peek(self, token: str | None, me: SignedIn | None = None) -> tuple[str, str]:
        """Return the email of the account of a link's request, and the address it verifies.

        The token stays unspent; `me` is who opens it, if signed in. Raises
        WrongNotificationEmailToken.
        """
        found = self._one_time_tokens.peek(NOTIFICATION_EMAIL_LINK, token)
        user_id = None if found is None else self._account_of(found, me)
        with self._db.reading() as tx:
            email = tx.scalar(select(User.email).where(User.id == user_id))
        if found is None or email is None:
            raise WrongNotificationEmailToken
        return email, found.sent_to

    @retried
    def verify(
        self,
        caller: Caller,
        token: str | None,
        me: SignedIn | None = None,
        account: str | None = None,
    ) -> str:
        """Spend the token of a notification email to verify it; return that email.

        The token shows that its bearer reads the mailbox, so no session is required. It completes
        the request of the account of the session, `me`, if there is one that waits for the address,
        and else the request that sent it. `account`, if given, must be the email of that account. A
        replaced notification email gets a last notice. Raises MalformedEmail and
        WrongNotificationEmailToken (NIST SP 800-63B-4 section 4.6).
        """
        links = self._one_time_tokens
        named = None if account is None else normalize.email(account)
        with self._db.transaction() as tx:
            found = links.peek(NOTIFICATION_EMAIL_LINK, token)
            user_id = None if found is None else self._account_of(found, me)
            # Locks the account first, as all operations do, so that two of them cannot deadlock.
            if found is None or user_id is None or not self._accounts.hold(user_id):
                raise WrongNotificationEmailToken
            email, before = found.sent_to, self.email_of(user_id)
            waits = self._waiting(user_id, email)
            if (
                named not in {None, self._db.find_user_by(id=user_id).email}
                or not links.spend_peeked(found)
                or links.take(NOTIFICATION_EMAIL, waits) is None
            ):
                raise WrongNotificationEmailToken
            row = {"user_id": user_id, "email": email, "verified_at": clock.now()}
            written = upsert(notification_emails, self._db.on_postgresql).values(row)
            tx.execute(written.on_conflict_do_update(index_elements=[_table.user_id], set_=row))
            if before is not None and before != email:
                self._notify_replaced(caller, user_id, before)
            added = {"notification_email": email}
            self._registry.publish(Event(caller, "notification_email.added", user_id, added))
        return email

    def _notify_replaced(self, caller: Caller, user_id: int, email: str) -> None:
        """Notify the notification email that another one replaces."""
        facts = {
            "device": user_agent.UNKNOWN,
            "ip": "",
            "mount": self._registry.mount_of(caller),
            "email": self._db.find_user_by(id=user_id).email,
            "notification_email": email,
        }
        self._mail.notify(caller, "notification_email_removed", email, user_id, facts)

    def remove(self, caller: Caller, me: SignedIn) -> None:
        """Remove the notification email of the signed-in user, and notify both addresses.

        The link of a pending one ends too. Raises NoNotificationEmail.
        """
        self._remove(caller, me.user_id, {"session": me.session_uid})

    def remove_for(self, caller: Caller, name: str) -> str:
        """Remove the notification email of the account with this email or uid; return the address.

        Raises NoSuchUser and NoNotificationEmail.
        """
        return self._remove(caller, self._accounts.find(name).id, {})

    def revert(self, caller: Caller, user_id: int, before: Mapping[str, Any] | None) -> None:
        """Give an account the notification email that it had, in the transaction that holds it.

        `before` is what `stored` returned then. The address that is removed gets no notice: it may
        be a thief's, who would hear of what follows.
        """
        now = self.stored(user_id)
        if (now and now["email"]) == (before and before["email"]):
            return
        with self._db.transaction() as tx:
            tx.change(delete(notification_emails).where(_table.user_id == user_id))
            if now is not None:
                removed = {"notification_email": now["email"]}
                self._registry.publish(
                    Event(caller, "notification_email.removed", user_id, removed)
                )
            if before is not None:
                tx.execute(insert(notification_emails), {"user_id": user_id, **before})
                added = {"notification_email": before["email"]}
                self._registry.publish(Event(caller, "notification_email.added", user_id, added))

    def import_users(self, users: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Store the emails that another system verified, but for those of the accounts."""
        now = clock.now()
        rows = [
            {"user_id": user_id, "email": values["notification_email"], "verified_at": now}
            for user_id, values in users
            if values.get("notification_email") not in {None, values["email"]}
        ]
        if rows:
            with self._db.transaction() as tx:
                tx.execute(insert(notification_emails), rows)

    def export_users(self, user_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the notification email of each of these accounts that has one."""
        query = select(_table.user_id, _table.email).where(_table.user_id.in_(user_ids))
        with self._db.reading() as tx:
            found = tx.execute(query).all()
        return {row.user_id: {"notification_email": row.email} for row in found}

    @retried
    def _remove(self, caller: Caller, user_id: int, facts: dict[str, Any]) -> str:
        with self._db.transaction() as tx:
            self._accounts.hold(user_id)
            state = self.of(user_id)
            email = state.email or state.waiting
            if email is None:
                raise NoNotificationEmail
            # Before the row is deleted, so that the notice reaches this address too.
            removed = facts | {"notification_email": email}
            self._registry.publish(Event(caller, "notification_email.removed", user_id, removed))
            tx.change(delete(notification_emails).where(_table.user_id == user_id))
            mine = columns.user_id == user_id
            self._one_time_tokens.withdraw(NOTIFICATION_EMAIL, mine)
        return email

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the notification email of a deleted account; after any other reason it stays.

        It gives no access, and an intruder who changes the password must not silence it.
        """
        if reason == Reason.ACCOUNT_DELETED:
            with self._db.transaction() as tx:
                tx.change(delete(notification_emails).where(_table.user_id == user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the notification email, when it was verified, and the one that is pending."""
        state = self.of(user_id)
        return {"notification_email": state._asdict() if any(state) else None}
