"""The operations on pending registrations and on verified emails."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from sqlalchemy import Double, exists, insert, literal, select
from sqlalchemy.exc import NoResultFound

from bienvenue import clock, normalize, purposes, tokens, user_fields
from bienvenue.authentication import Authentication, Caller
from bienvenue.client_ip import network_of
from bienvenue.db import DB, retried, upsert
from bienvenue.feature import Attempt, Event, Feature, needs
from bienvenue.features.account_closure import AccountClosure
from bienvenue.features.accounts import Accounts, EmailTaken
from bienvenue.features.custom_fields import CustomFields
from bienvenue.features.invitations import Invitations
from bienvenue.features.mail import Mail
from bienvenue.features.one_time_tokens import Link, OneTimeTokens, Token, columns
from bienvenue.features.passwords import Passwords
from bienvenue.features.rate_limits import RateLimits
from bienvenue.features.registration.errors import PasswordRequired, WrongVerificationToken
from bienvenue.features.registration.models import (
    BROWSER_COOKIE,
    REGISTRATION,
    PendingRegistration,
    VerificationSettings,
    VerifiedEmail,
    verified_emails,
)
from bienvenue.features.sessions import OpenedSession, Sessions
from bienvenue.registry import Registry
from bienvenue.user import User
from bienvenue.user_fields import UserField
from bienvenue.web.page import Pages
from bienvenue.web.refusals import LinkNotOpen

#: The events that give an account its email, and those that verify that email.
_NEW_EMAIL = {"account.registered", "email.assigned", "email.changed", "email.restored"}
_VERIFYING = {"password.reset", "email.changed", "email.restored"}

_NO_FIELDS: Mapping[str, Any] = MappingProxyType({})

COMPARED = 5
"""Pending registrations of one email, each of another network, whose password completes them."""


class Registration(Feature[VerificationSettings]):
    """The operations on pending registrations and on verified emails."""

    name = "registration"
    _account_closure = needs(AccountClosure)
    _accounts = needs(Accounts)
    _custom_fields = needs(CustomFields)
    _invitations = needs(Invitations)
    _mail = needs(Mail)
    _one_time_tokens = needs(OneTimeTokens)
    _passwords = needs(Passwords)
    _rate_limits = needs(RateLimits)
    _sessions = needs(Sessions)
    Settings = VerificationSettings
    pages: ClassVar[Pages] = Pages()
    links = (REGISTRATION,)
    events: ClassVar = {
        "registration.requested": "Someone asked to create an account with an email that isn't "
        "verified yet.",
        "registration.refused": "A verification link was opened with a wrong password.",
        "registration.withdrawn": "An administrator withdrew pending registrations.",
        "email.verified": "The email of an account was verified.",
    }
    flashes: ClassVar = {"account-created": "Your account is ready, and you're signed in."}
    sentences: ClassVar = {
        "email.verified": "Your email address was verified.",
        "registration.requested": "Someone tried to create an account with your email. Nothing "
        "was changed.",
    }

    user_fields: ClassVar = (
        UserField(
            "email_verified",
            "when the email was verified, or whether it is",
            user_fields.moment_or_yes,
            user_fields.written,
        ),
    )

    def __init__(self, registry: Registry, db: DB, settings: VerificationSettings) -> None:
        """Open with a cookie that lives as long as the links of this service work."""
        super().__init__(registry, db, settings)
        lifetime = int(settings.verification_lifetime)
        self.cookies = {BROWSER_COOKIE: lifetime}  # type: ignore[misc]  # a setting decides

    # --- registering ----------------------------------------------------------------------------

    def create(self, caller: Caller, email: str, password: str) -> User:
        """Create an account at once and return its user.

        Raises MalformedEmail, TooManyAttempts, Busy, the refusals of `Passwords.check_policy`, and
        EmailTaken, which is also a ValueError. A taken email costs the same hash as a free one, so
        the time of the answer doesn't show whether an account exists (ASVS 6.3.8).
        """
        email = self._accounts.new_email(email)
        self._passwords.check_policy(password, [email])
        return self._accounts.add(caller, email, self._passwords.hash(caller, password))

    def invited_email(self, invitation: str | None) -> str:
        """Return the address that the form begins with, empty without an invitation.

        Raises RegistrationClosed and WrongInvitation.
        """
        return self._invitations.welcome(invitation)

    def register(
        self,
        caller: Caller,
        email: str,
        password: str,
        sent: str | None = None,
        opened: str | None = None,
        *,
        fields: Mapping[str, Any] = _NO_FIELDS,
    ) -> User | PendingRegistration:
        """Create an account and return its user, or what waits until the email is verified.

        `fields` are the values of the fields that the application declares.
        An invitation verifies it: `sent` is its token from the request, `opened` its token from an
        opened link. Raises the refusals of `Accounts.add` and `Invitations.admit`, TooManyEmails
        when the caller's network requested too many, and EmailTaken only without a mail server or
        with an invitation (ASVS 6.3.8).
        """
        email = self._accounts.new_email(email)
        invitation = self._invitations.admit(email, sent, opened)
        self._passwords.check_policy(password, [email])
        hashed = self._passwords.hash(caller, password)
        if invitation is not None:
            return self._register_invited(caller, email, hashed, invitation, fields=fields)
        if not self._mail.sends_mail:
            return self._add(caller, email, hashed, fields)
        self._one_time_tokens.admit(caller, REGISTRATION)
        return self._add_pending(caller, email, hashed, fields)

    @retried
    def _add(self, caller: Caller, email: str, hashed: str, fields: Mapping[str, Any]) -> User:
        with self._db.transaction():
            user = self._accounts.add(caller, email, hashed)
            self._custom_fields.store(user.id, fields)
        return user

    @retried
    def _register_invited(
        self,
        caller: Caller,
        email: str,
        hashed: str,
        invitation: str,
        *,
        fields: Mapping[str, Any] = _NO_FIELDS,
    ) -> User:
        with self._db.transaction():
            self._invitations.spend(email, invitation)
            user = self._add(caller, email, hashed, fields)
            self.mark_verified(caller, user.id)
        return user

    @retried
    def _add_pending(
        self, caller: Caller, email: str, hashed: str, fields: Mapping[str, Any]
    ) -> PendingRegistration:
        links, browser = self._one_time_tokens, tokens.new()
        purpose = purposes.emails("registration network")
        network = self._registry.keys.lasting_mac(
            purpose, network_of(caller.address).encode()
        ).hex()[:32]
        with self._db.transaction():
            sends = links.throttle(caller, REGISTRATION, email)
            link = links.new(caller, REGISTRATION, self.settings.verification_lifetime)
            message_uid = None
            if sends:
                message_uid = self._write(caller, email, email, link, link.expires_at)
            # Without an email of its own a registration waits for the link of another one; a
            # network has one such registration. For a taken email the same statement runs and
            # stores nothing.
            links.keep(
                link,
                sent_to=email,
                data={
                    "hashed_password": hashed,
                    "network": network,
                    "browser": _digest(browser),
                    "fields": dict(fields),
                },
                message_uid=message_uid,
                slot=None if sends else f"{email} {network}",
                where=~exists().where(User.email == email),
            )
        return PendingRegistration(browser)

    def resend(self, caller: Caller, email: str) -> None:
        """Send a new link for the latest pending registration of an email.

        The earlier link ends; the registration expires when it did before. The owner of a taken
        email gets the same message as after a registration. The caller learns neither. Raises
        MalformedEmail, RegistrationClosed and TooManyEmails.
        """
        self._invitations.require_open()
        email = normalize.email(email)
        self._one_time_tokens.admit(caller, REGISTRATION)
        self._resend(caller, email)

    @retried
    def _resend(self, caller: Caller, email: str) -> None:
        links = self._one_time_tokens
        with self._db.transaction():
            if not links.throttle(caller, REGISTRATION, email):
                return
            link = links.new(caller, REGISTRATION, self.settings.verification_lifetime)
            found = links.renew(link, email)
            to, expires = ("", link.expires_at) if found is None else (email, found[1])
            links.sent(link, self._write(caller, email, to, link, expires))

    def _write(self, caller: Caller, email: str, to: str, link: Link, expires: float) -> str:
        """Queue a message to a new email, or to the owner of a taken one; return its name.

        `to` is the email, or empty when it has no registration: the same work is done then.
        """
        kind, path, user_id = "registration", link.path, None
        try:
            owner = self._db.find_user_by(email=email)
        except NoResultFound:
            pass
        else:
            # This link is not secret; encrypting it takes the same time as encrypting one that is.
            kind, path = "already_registered", f"{self._registry.mount_of(caller)}/reset_password"
            to, user_id = ("", None) if owner.disabled_at is not None else (owner.email, owner.id)
        queued = self._mail.write(
            kind, to, user_id, {"ip": caller.address}, link=path, expires=expires
        )
        self._account_closure.remind(caller, email)
        facts = queued if user_id is not None else {}
        self._registry.publish(Event(caller, "registration.requested", user_id, facts))
        return queued["message_uid"]

    # --- verifying ------------------------------------------------------------------------------

    def email_of(self, token: str | None) -> str:
        """Return the email that a token verifies; the token stays unspent.

        Raises RegistrationClosed when registration is not open any more, LinkNotOpen without a
        token, and WrongVerificationToken.
        """
        self._invitations.require_open()
        return self._peek(token).sent_to

    def open_link(self, token: str | None, browser: str | None) -> tuple[str, bool]:
        """Return the email that a token verifies, and whether the browser of the secret registered.

        The token stays unspent. Raises what `email_of` does.
        """
        email = self.email_of(token)
        return email, self._of_browser(email, browser) is not None

    def _of_browser(self, email: str, browser: str | None) -> Token | None:
        """Return the registration of an email that the browser of this secret made, or None."""
        if browser is None:
            return None
        digest = _digest(browser)
        waiting = self._one_time_tokens.list(REGISTRATION, columns.sent_to == email)
        return next((row for row in waiting if row.data.get("browser") == digest), None)

    def _peek(self, token: str | None) -> Token:
        if token is None:
            raise LinkNotOpen
        found = self._one_time_tokens.peek(REGISTRATION, token)
        if found is None:
            raise WrongVerificationToken
        return found

    def complete(
        self, caller: Caller, token: str | None, password: str, email: str | None = None
    ) -> User:
        """Spend a token and the password of a pending registration to create its account.

        The token verifies the mailbox: it completes the registration, of those that wait for its
        email, whose password is given.
        `email`, if given, must be the registration's. Wrong passwords count towards the rate limit
        of signing in, and a new link does not reset the count. Raises MalformedEmail, LinkNotOpen,
        WrongVerificationToken, PasswordTooLong, MalformedText, RegistrationClosed when registration
        is not open any more, Busy, and the refusals of the rate limits (NIST SP 800-63B-4 section
        3.1.3.1).
        """
        self._passwords.check_form(password)
        found = self._peek_for(token, email)
        # The holder of the link counts as a known device: guesses of others do not stop it.
        attempt = Attempt("sign_in", found.sent_to, caller.ip, known=True)
        hashed = self._passwords.fits(caller, attempt, password, self._hashes(found))
        if hashed is None:
            self._registry.publish(Event(caller, "registration.refused"))
            raise WrongVerificationToken("password")
        return self._create_account(caller, found, self._row_of(found, hashed))

    def complete_here(
        self,
        caller: Caller,
        token: str | None,
        browser: str | None,
        email: str | None = None,
        *,
        replaces: str | None = None,
    ) -> tuple[User, OpenedSession | None]:
        """Spend a token in the browser that registered, create the account and open a session.

        `browser` is the secret of the browser. `replaces` is the session secret that it had; that
        session ends. `email`, if given, must be the registration's. The session is None when the
        account changed in the same moment. Raises MalformedEmail, LinkNotOpen, RegistrationClosed,
        WrongVerificationToken, PasswordRequired in any other browser, and MFARequired when another
        factor is due (NIST SP 800-63B-4 section 3.1.3.1).
        """
        found = self._peek_for(token, email)
        mine = self._of_browser(found.sent_to, browser)
        # What another browser registered may be an attacker's, and the account would have their
        # password (E28).
        if mine is None:
            raise PasswordRequired("password")
        user = self._create_account(caller, found, mine)
        # The session is as fresh as the choice of the password.
        authentication = Authentication(user, ("pwd",), min(mine.created_at, clock.now()))
        return user, self._sessions.open(caller, authentication, replaces=replaces)

    def _peek_for(self, token: str | None, email: str | None) -> Token:
        """Return the token of an open link; `email`, if given, must be the one it went to."""
        self._invitations.require_open()
        named = None if email is None else normalize.email(email)
        found = self._peek(token)
        if named not in {None, found.sent_to}:
            raise WrongVerificationToken
        return found

    def _hashes(self, found: Token) -> list[str]:
        """Return the hashes of the registrations a token can complete: its own, then the newest.

        A network counts once, with its newest, so that one cannot crowd out the others.
        """
        waiting = self._one_time_tokens.list(REGISTRATION, columns.sent_to == found.sent_to)
        newest = sorted(waiting, key=lambda row: (row.created_at, row.id), reverse=True)
        networks: dict[str, str] = {}
        for row in newest:
            networks.setdefault(row.data.get("network", ""), row.data["hashed_password"])
        others = [*networks.values()][:COMPARED]
        return list(dict.fromkeys([found.data["hashed_password"], *others]))

    def _row_of(self, found: Token, hashed: str) -> Token:
        """Return the registration of this hash, of those that the token can complete."""
        waiting = self._one_time_tokens.list(REGISTRATION, columns.sent_to == found.sent_to)
        rows = [found, *sorted(waiting, key=lambda row: (row.created_at, row.id), reverse=True)]
        return next(
            (row for row in rows if row.data["hashed_password"] == hashed),
            found._replace(data={"hashed_password": hashed}),
        )

    @retried
    def _create_account(self, caller: Caller, found: Token, mine: Token) -> User:
        """Create the account of the registration `mine` by the link of `found`."""
        with self._db.transaction():
            if not self._one_time_tokens.spend_peeked(found):
                raise WrongVerificationToken
            try:
                user = self._add(
                    caller,
                    found.sent_to,
                    mine.data["hashed_password"],
                    mine.data.get("fields", _NO_FIELDS),
                )
            except EmailTaken:
                raise WrongVerificationToken from None
            self.mark_verified(caller, user.id)
            # What was guessed before belonged to no account.
            self._rate_limits.clear(user.email)
        return user

    def mark_verified(self, caller: Caller, user_id: int) -> None:
        """Mark the current email of an account as verified, in the open transaction."""
        row: Any = select(User.id, User.email, literal(clock.now(), Double()))
        inserted = upsert(verified_emails, self._db.on_postgresql).from_select(
            ["user_id", "email", "verified_at"], row.where(User.id == user_id)
        )
        key, excluded = [verified_emails.c.user_id], inserted.excluded
        statement = inserted.on_conflict_do_update(
            index_elements=key,
            set_={"email": excluded.email, "verified_at": excluded.verified_at},
            where=verified_emails.c.email != excluded.email,
        ).returning(verified_emails.c.user_id)
        with self._db.transaction() as tx:
            if tx.execute(statement).first() is not None:
                self._registry.publish(Event(caller, "email.verified", user_id))

    def verified_at(self, user_id: int) -> float | None:
        """Return when the current email of an account was verified; None when it is not.

        The time is in seconds since 1970.
        """
        with self._db.reading() as tx:
            return tx.scalar(
                select(VerifiedEmail.verified_at)
                .join(
                    User, (User.id == VerifiedEmail.user_id) & (User.email == VerifiedEmail.email)
                )
                .where(VerifiedEmail.user_id == user_id)
            )

    # --- for the operator -----------------------------------------------------------------------

    def list(self) -> list[tuple[str, float, float]]:
        """Return email, request time and expiry of the pending registrations, newest first.

        Times are in seconds since 1970.
        """
        found = self._one_time_tokens.list(REGISTRATION)
        return [(row.sent_to, row.created_at, row.expires_at) for row in reversed(found)]

    @retried
    def withdraw(self, caller: Caller, email: str) -> int:
        """Delete the pending registrations of an email; return how many. Raises MalformedEmail."""
        with self._db.transaction():
            sent = columns.sent_to == normalize.email(email)
            dropped = self._one_time_tokens.withdraw(REGISTRATION, sent)
            if dropped:
                self._registry.publish(Event(caller, "registration.withdrawn"))
        return dropped

    # --- following other features ---------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """End the pending registrations of an account's new email; verify it after a link's use."""
        if event.user_id is None:
            return
        if event.name in _NEW_EMAIL:
            email = self._db.find_user_by(id=event.user_id).email
            with self._db.transaction():
                self._one_time_tokens.withdraw(REGISTRATION, columns.sent_to == email)
                self._mail.adopt(email, "registration", event.user_id)
        if event.name in _VERIFYING:
            self.mark_verified(event.caller, event.user_id)

    def import_users(self, users: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Store the emails that another system verified; pending registrations of any end."""
        now, owners = clock.now(), {values["email"]: user_id for user_id, values in users}
        verified = [
            {"user_id": user_id, "email": values["email"], "verified_at": now if at is True else at}
            for user_id, values in users
            if (at := values.get("email_verified", False)) is not False
        ]
        pending = (columns.purpose == REGISTRATION.name) & columns.sent_to.in_(list(owners))
        with self._db.transaction() as tx:
            if verified:
                tx.execute(insert(verified_emails), verified)
            for email in set(tx.scalars(select(columns.sent_to).where(pending))):
                self._one_time_tokens.withdraw(REGISTRATION, columns.sent_to == email)
                self._mail.adopt(email, "registration", owners[email])

    def export_users(self, user_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return when each present email was verified; False where it was not."""
        same = (User.id == VerifiedEmail.user_id) & (User.email == VerifiedEmail.email)
        query = select(VerifiedEmail.user_id, VerifiedEmail.verified_at).join(User, same)
        with self._db.reading() as tx:
            found = tx.execute(query.where(VerifiedEmail.user_id.in_(user_ids))).all()
        since = {row.user_id: row.verified_at for row in found}
        return {user_id: {"email_verified": since.get(user_id, False)} for user_id in user_ids}

    def export(self, user_id: int) -> dict[str, Any]:
        """Return when the email was verified (RFC 3339 in UTC), or None."""
        at = self.verified_at(user_id)
        return {"email_verified_at": None if at is None else clock.written(at)}

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete pending registrations where registration is not open; return how many.

        `limit` is the most rows to delete.
        """
        del now
        if self._invitations.open_to_all:
            return 0
        with self._db.transaction():
            some = select(columns.id).where(columns.purpose == REGISTRATION.name).limit(limit)
            return self._one_time_tokens.withdraw(REGISTRATION, columns.id.in_(some))


def _digest(browser: str) -> str:
    return tokens.digest(purposes.REGISTERING_BROWSER, browser).hex()
