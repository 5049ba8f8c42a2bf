"""The operations of email change. Only `_change` and `restore` change the email of an account."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from bienvenue import clock
from bienvenue.authentication import Caller
from bienvenue.db import Transaction, retried
from bienvenue.feature import Event, Feature, MenuEntry, Reason, needs
from bienvenue.features.account_closure import AccountClosure
from bienvenue.features.accounts import Accounts, EmailTaken, NoSuchUser
from bienvenue.features.email_change.errors import SameEmail, WrongEmailToken, WrongRestoreToken
from bienvenue.features.email_change.models import (
    EMAIL_CHANGE,
    EMAIL_CHANGE_LINK,
    EMAIL_RESTORE,
    EmailChangeSettings,
)
from bienvenue.features.known_devices import KnownDevices
from bienvenue.features.mail import Mail
from bienvenue.features.notification_email import NotificationEmails
from bienvenue.features.one_time_tokens import Link, OneTimeToken, OneTimeTokens, Token, columns
from bienvenue.features.password_reset import PasswordReset
from bienvenue.features.rate_limits import RateLimits
from bienvenue.features.sessions import Sessions
from bienvenue.hashing import NO_PASSWORD
from bienvenue.tokens import Purpose
from bienvenue.user import SignedIn, User, table_of
from bienvenue.web.page import Pages
from bienvenue.web.refusals import NotSignedIn


class _Change(NamedTuple):
    """The account whose email changes, its old email and its new one."""

    user_id: int
    old: str
    new: str


class ChangedEmail(NamedTuple):
    """The new email of an account, and the new secret of the session that changed it."""

    email: str
    secret: str

    def __repr__(self) -> str:
        """Show nothing secret."""
        return f"<ChangedEmail {self.email}>"


class EmailChange(Feature[EmailChangeSettings]):
    """The operations of email change."""

    name = "email_change"
    _account_closure = needs(AccountClosure)
    _accounts = needs(Accounts)
    _known_devices = needs(KnownDevices)
    _mail = needs(Mail)
    _notification_emails = needs(NotificationEmails)
    _one_time_tokens = needs(OneTimeTokens)
    _password_reset = needs(PasswordReset)
    _rate_limits = needs(RateLimits)
    _sessions = needs(Sessions)
    Settings = EmailChangeSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "email_change.requested": "A signed-in person asked to change the email of the account.",
        "email.changed": "The email of an account was changed; its other sessions ended.",
        "email.assigned": "An administrator changed the email of an account; its sessions ended.",
        "email.restored": "An earlier email of an account was restored with the link sent to it.",
    }
    sentences: ClassVar = {
        "email_change.requested": "An email change was requested.",
        "email.assigned": "An administrator changed your email. All devices were signed out.",
        "email.changed": "Your email was changed. All other devices were signed out.",
        "email.restored": "An earlier email was restored with the link sent to it. All devices "
        "were signed out.",
    }
    menu = (
        MenuEntry(
            "/email",
            "Email",
            "We'll ask you to verify the new address first, and notify the old one.",
            "Change email",
            10,
        ),
    )
    links = (EMAIL_CHANGE, EMAIL_CHANGE_LINK, EMAIL_RESTORE)

    # --- requesting -----------------------------------------------------------------------------

    def context(self) -> dict[str, Any]:
        """Return for how many seconds its links work."""
        return {
            "lifetimes": {
                "email_change": self.settings.email_change_lifetime,
                "email_restore": self.settings.email_restore_lifetime,
            }
        }

    def request(self, caller: Caller, me: SignedIn, new: str) -> None:
        """Store the change, and send a message to the new email, with a link if the email is free.

        The caller does not learn whether it is. Beyond the limit of the address no message is sent;
        the change then waits for a link that reached the address already. Raises MalformedEmail,
        SameEmail, TooManyEmails when the account or the caller's network requested too many, and
        NotSignedIn when the session ended meanwhile (ASVS 6.3.7, 7.5.1).
        """
        new = self._accounts.new_email(new, "new_email")
        if new == me.email:
            raise SameEmail("new_email")
        self._one_time_tokens.admit(caller, EMAIL_CHANGE, me.user_uid)
        self._request(caller, me, new)

    @retried
    def _request(self, caller: Caller, me: SignedIn, new: str) -> None:
        links, lifetime = self._one_time_tokens, self.settings.email_change_lifetime
        with self._db.transaction() as tx:
            sends = links.throttle(caller, EMAIL_CHANGE, new, me.user_id)
            # Locks after the throttle, as a password reset does, so that the two cannot deadlock.
            old = self._hold(tx, me)
            links.keep(
                links.new(caller, EMAIL_CHANGE, lifetime),
                sent_to=new,
                user_id=me.user_id,
                data={"ip": caller.address[:45], "old": old},
                slot=me.user_id,
            )
            if sends:
                link = links.new(caller, EMAIL_CHANGE_LINK, lifetime)
                queued = self._notify_new(caller, self._owner(tx, new, me.user_id), new, link)
                links.keep(
                    link,
                    sent_to=new,
                    user_id=me.user_id,
                    message_uid=queued["message_uid"],
                    slot=f"{me.user_id} {new}",
                )
            # The event names no message: its kind would tell the user whether the email is free.
            facts = {"session": me.session_uid}
            self._registry.publish(Event(caller, "email_change.requested", me.user_id, facts))

    @staticmethod
    def _hold(tx: Transaction, me: SignedIn) -> str:
        """Lock the account of a session in the transaction; return its email."""
        mine = (
            (User.id == me.user_id)
            & (User.session_id == me.generation)
            & User.disabled_at.is_(None)
        )
        email = tx.scalar(select(User.email).where(mine).with_for_update())
        if email is None:
            raise NotSignedIn
        return email

    @staticmethod
    def _owner(tx: Transaction, email: str, mine: int) -> Any:
        """Return the user who has an email, or for whom it is reserved; None if it is free.

        An email that is reserved for the user `mine` counts as free.
        """
        has = select(User.id, User.disabled_at).where(User.email == email)
        reserved = (columns.user_id == User.id) & _reserved(email)
        holds = (
            select(User.id, User.disabled_at).join(OneTimeToken, reserved).where(User.id != mine)
        )
        return tx.execute(has.union_all(holds).limit(1)).one_or_none()

    def _notify_new(self, caller: Caller, owner: Any, new: str, link: Link) -> dict[str, str]:
        """Queue the message to the new email, without a recipient when its owner is disabled."""
        kind = "new_email_verification" if owner is None else "new_email_taken"
        silent = owner is not None and owner.disabled_at is not None
        to = None if owner is None or silent else owner.id
        queued = self._mail.write(
            kind,
            "" if silent else new,
            to,
            {"ip": caller.address[:45]},
            link=link.path if owner is None else None,
            expires=link.expires_at if owner is None else None,
        )
        self._registry.publish(Event(caller, "email.queued", to, queued))
        return queued

    # --- verifying ------------------------------------------------------------------------------

    def pending_email(self, me: SignedIn, token: str | None) -> str:
        """Return the new email that a token verifies; the token stays unspent.

        Raises WrongEmailToken, also when the account of the session asked for another one since.
        """
        links = self._one_time_tokens
        mailbox = links.peek(EMAIL_CHANGE_LINK, token)
        new = "" if mailbox is None else mailbox.sent_to
        if not any(asked.data["old"] == me.email for asked in links.list(*_asked(me, new))):
            raise WrongEmailToken
        return new

    @retried
    def verify(self, caller: Caller, me: SignedIn, token: str | None) -> ChangedEmail:
        """Spend the token sent to a new email to make it the email of the account of the session.

        The token verifies the mailbox, whichever account asked for the message; the change is the
        one that this account asked for last.
        Every other session ends, and this one gets a new secret, so that a copy of its cookie ends
        too; the caller's browser stays a known device. Raises WrongEmailToken, also when another
        account took the email meanwhile, and NotSignedIn (ASVS 7.5.1).
        """
        with self._db.transaction() as tx:
            links, old = self._one_time_tokens, self._hold(tx, me)
            mailbox = links.spend_mailbox(EMAIL_CHANGE_LINK, token)
            spent = links.take(*_asked(me, "" if mailbox is None else mailbox.sent_to))
            if spent is None or spent.data["old"] != old:
                raise WrongEmailToken
            known = self._known_devices.knows(old, caller.device)
            facts = {"asked": clock.written(spent.created_at), "ip": spent.data["ip"]}
            try:
                change = _Change(me.user_id, old, spent.sent_to)
                secret = self._sessions.rotate(me, authenticated=False)
                kept = self._sessions.digest(secret)
                queued = self._change(caller, tx, change, facts, keep_session=kept)
            except (EmailTaken, NoSuchUser):
                raise WrongEmailToken from None
            self._mail.adopt(spent.sent_to, "new_email_verification", me.user_id)
            if known:
                self._known_devices.remember(me.user_id, caller.device)
            event = {"session": me.session_uid, "old": old, "new": spent.sent_to}
            self._registry.publish(Event(caller, "email.changed", me.user_id, event | queued))
        return ChangedEmail(spent.sent_to, secret)

    @retried
    def set(self, caller: Caller, name: str, new: str, *, restorable: bool = True) -> str:
        """Change a user's email without verification, for an administrator; return the old email.

        Every session ends. Unless `restorable` is False, the old email gets a link that restores
        it. Raises NoSuchUser, MalformedEmail, SameEmail, and EmailTaken also for a reserved email.
        """
        new = self._accounts.new_email(new)
        with self._db.transaction() as tx:
            user = self._accounts.find(name)
            if user.email == new:
                raise SameEmail(message="This is already the email of the account.")
            facts = {"asked": clock.written(clock.now()), "ip": ""}
            change = _Change(user.id, user.email, new)
            queued = self._change(caller, tx, change, facts, restorable=restorable)
            event = {"old": user.email, "new": new}
            # The handlers of the event read the row from the database, with its new email.
            tx.expunge(user)
            self._registry.publish(Event(caller, "email.assigned", user.id, event | queued))
        return user.email

    def _change(
        self,
        caller: Caller,
        tx: Transaction,
        change: _Change,
        facts: dict[str, str],
        *,
        keep_session: bytes | None = None,
        restorable: bool = True,
    ) -> dict[str, str]:
        """Change an email and what depends on it; return the facts of the message to the old one.

        Raises EmailTaken, and NoSuchUser when the account no longer has the old email.
        """
        user_id, old, new = change
        _set(tx, user_id, old, {"email": new})
        self._accounts.refuse_reserved(new, user_id)
        self._rate_limits.move(old, new)
        closed = self._account_closure.can_reopen(user_id)
        self._registry.revoke(caller, user_id, Reason.EMAIL_CHANGED, keep_session)
        links, mine = self._one_time_tokens, columns.user_id == user_id
        # A change back to a reserved email reverts the later changes, and the current email may be
        # an attacker's: a link sent there could bring it back.
        former = tx.scalar(select(func.min(columns.id)).where(mine, _reserved(new)))
        if former is not None:
            links.withdraw(EMAIL_RESTORE, mine, columns.id >= former)
        restorable = restorable and former is None
        link = links.new(caller, EMAIL_RESTORE, self.settings.email_restore_lifetime)
        until = clock.written(link.expires_at) if restorable else None
        queued = self._mail.write(
            "email_changed",
            old,
            user_id,
            facts | {"new": _masked(new), "until": until},
            link=link.path if restorable else None,
            expires=link.expires_at if restorable else None,
        )
        notified = self._notification_emails.stored(user_id)
        if restorable:
            links.keep(
                link,
                sent_to=old,
                user_id=user_id,
                data={"notification_email": notified},
                message_uid=queued["message_uid"],
            )
        if closed:
            self._account_closure.follow(caller, new, user_id)
        if notified is not None and notified["email"] not in {old, new}:
            where = self._where(caller, old) | {"new": new, "until": until}
            self._mail.notify(caller, "email_changed_notice", notified["email"], user_id, where)
        return queued

    def _where(self, caller: Caller, email: str) -> dict[str, Any]:
        """Return the facts of a notice about the account of an email, and who acted where."""
        return {
            "device": caller.device_name,
            "ip": caller.address,
            "mount": self._registry.mount_of(caller),
            "email": email,
        }

    def on_event(self, event: Event) -> None:
        """Notify every earlier email that can be restored of the closing of its account.

        The email of the account may be a thief's. The notice has no link: that of the email about
        the change still works.
        """
        if event.name != "account.closed" or event.user_id is None:
            return
        mine = columns.user_id == event.user_id
        for token in self._one_time_tokens.list(EMAIL_RESTORE, mine):
            facts = self._where(event.caller, token.sent_to)
            facts["until"] = clock.written(token.expires_at)
            kind = "account_closed_restorable"
            self._mail.notify(event.caller, kind, token.sent_to, event.user_id, facts)

    # --- restoring ------------------------------------------------------------------------------

    def restorable_email(self, token: str | None) -> str:
        """Return the email that a token restores; it stays unspent. Raises WrongRestoreToken."""
        found = self._one_time_tokens.peek(EMAIL_RESTORE, token)
        if found is None:
            raise WrongRestoreToken
        return found.sent_to

    @retried
    def restore(self, caller: Caller, token: str | None) -> str:
        """Spend the token sent to a former email to restore it; return that email.

        What was done since the change is undone: a closed account is open again, the notification
        email is what it was, and every session and every link that restores a later email end. The
        account has no password until its owner sets one with the reset link sent to the email,
        because the person who changed the email knows the current password. An account that an
        administrator disabled stays disabled and gets no reset link. Raises WrongRestoreToken (NIST
        SP 800-63B-4 section 4.6).
        """
        links = self._one_time_tokens
        with self._db.transaction() as tx:
            found = links.peek(EMAIL_RESTORE, token)
            user_id = 0 if found is None else found.user_id
            locked = select(User.id, User.email).where(User.id == user_id).with_for_update()
            user = tx.execute(locked).one_or_none()
            spent = links.spend(EMAIL_RESTORE, token)
            if user is None or spent is None:
                raise WrongRestoreToken
            restored = {"email": spent.sent_to, "hashed_password": NO_PASSWORD}
            try:
                _set(tx, user.id, user.email, restored)
            except (EmailTaken, NoSuchUser):
                raise WrongRestoreToken from None
            later = (columns.user_id == user.id) & (columns.id > spent.id)
            links.withdraw(EMAIL_RESTORE, later)
            self._rate_limits.move(user.email, spent.sent_to)
            # First, so that no notice of what follows goes to a notification email of a thief.
            self._notification_emails.revert(caller, user.id, self._trusted_of(spent))
            self._account_closure.undo(caller, user.id)
            self._registry.revoke(caller, user.id, Reason.EMAIL_RESTORED)
            event = {"old": user.email, "new": spent.sent_to}
            self._registry.publish(Event(caller, "email.restored", user.id, event))
            self._notify_restored(caller, user.id, spent.sent_to)
            # A notice may have read the account while it was closed.
            tx.expire_all()
            self._password_reset.begin(caller, spent.sent_to)
        return spent.sent_to

    def _trusted_of(self, spent: Token) -> Mapping[str, Any] | None:
        """Return the notification email at the time of a change, unless a thief may have added it.

        A thief who changed the email was in the account before. How long is not known: one restore
        lifetime is taken for it.
        """
        before: Mapping[str, Any] | None = spent.data.get("notification_email")
        since = spent.created_at - self.settings.email_restore_lifetime
        return None if before is None or before["verified_at"] > since else before

    def _notify_restored(self, caller: Caller, user_id: int, email: str) -> None:
        """Notify both addresses of an account that has a notification email.

        It is older than the thief seems to be, and its owner is asked to look at it all the same.
        """
        notified = self._notification_emails.email_of(user_id)
        if notified is not None:
            facts = self._where(caller, email) | {"notification_email": notified}
            for to in dict.fromkeys((email, notified)):
                self._mail.notify(caller, "email_restored", to, user_id, facts)

    # --- exporting ------------------------------------------------------------------------------

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the pending change and the former emails that can be restored (RFC 3339)."""
        links = self._one_time_tokens
        pending = links.of_user(EMAIL_CHANGE, user_id)
        change = None
        if pending is not None:
            change = {
                "new": pending.sent_to,
                "requested_at": clock.written(pending.created_at),
                "expires_at": clock.written(pending.expires_at),
                "ip": pending.data["ip"],
            }
        former = links.list(EMAIL_RESTORE, columns.user_id == user_id)
        return {
            "email_change": change,
            "former_emails": [
                {"email": row.sent_to, "expires_at": clock.written(row.expires_at)}
                | _notified(row.data.get("notification_email"))
                for row in former
            ],
        }


def _set(tx: Transaction, user_id: int, old: str, values: dict[str, str]) -> None:
    """Set columns of the user who has this email. Raises EmailTaken and NoSuchUser."""
    mine = (User.id == user_id) & (User.email == old)
    try:
        changed = tx.change(update(User).where(mine).values(**values))
    except IntegrityError:
        raise EmailTaken(values["email"]) from None
    if changed != 1:
        raise NoSuchUser


def _asked(me: SignedIn, new: str) -> tuple[Purpose, ColumnElement[bool], ColumnElement[bool]]:
    """Return how to find what a user's account, which is enabled, asked for: this new email."""
    owner = (User.id == columns.user_id) & User.disabled_at.is_(None)
    enabled = exists().where(owner).correlate(table_of(OneTimeToken))
    return EMAIL_CHANGE, (columns.user_id == me.user_id) & (columns.sent_to == new), enabled


def _reserved(email: str) -> ColumnElement[bool]:
    """Return the condition that a token reserves a former email for its account."""
    return (
        (columns.purpose == EMAIL_RESTORE.name)
        & (columns.sent_to == email)
        & (columns.expires_at > clock.now())
    )


def _notified(stored: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the notification email that is restored with an earlier email, for the export."""
    return {} if stored is None else {"notification_email": stored["email"]}


def _masked(email: str) -> str:
    """Mask an email, as `b…@example.com`: its owner recognises it, other people do not."""
    return f"{email[0]}…@{email.rpartition('@')[2]}"
