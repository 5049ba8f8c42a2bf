"""The operations on registrations that wait, and on emails that are proven."""

from typing import Any, ClassVar

from pydantic import Field
from sqlalchemy import Double, exists, literal, select
from sqlalchemy.exc import NoResultFound

from bienvenue import clock, normalize
from bienvenue.db import retried, upsert
from bienvenue.feature import Attempt, Event, Feature, Refusal
from bienvenue.features.accounts import EmailTaken
from bienvenue.features.one_time_tokens import Link, Token, columns
from bienvenue.features.registration.models import REGISTRATION, VerifiedEmail, verified_emails
from bienvenue.settings import Seconds, Section
from bienvenue.user import User
from bienvenue.web.page import Pages

#: The events by which an email gets an account, and those after which it is proven.
_GIVEN = {"account.registered", "email.assigned", "email.changed", "email.restored"}
_SHOWN = {"password.reset", "email.changed", "email.restored"}

# --- words --------------------------------------------------------------------------------------


class WrongVerificationToken(Refusal):
    """The token is unknown, used or over, or the password is not the one chosen with it."""

    status = 403
    code = "wrong_verification_token"
    message = "Wrong password, or the link has expired. Create your account again."


# --- operations ---------------------------------------------------------------------------------


class VerificationSettings(Section):
    """How long a registration waits."""

    verification_lifetime: Seconds = Field(
        86400,
        le=7 * 86400,
        description="How long the link that verifies an email works; 7d at most.",
    )


class Registration(Feature[VerificationSettings]):
    """Whoever registered and did not prove the email yet."""

    name = "registration"
    Settings = VerificationSettings
    pages: ClassVar[Pages] = Pages()
    links = (REGISTRATION,)
    events: ClassVar = {
        "registration.requested": "Someone asked to create an account with an email that isn't verified yet.",
        "registration.refused": "A verification link was opened with a wrong password.",
        "registration.withdrawn": "An administrator withdrew pending registrations.",
        "email.verified": "The email of an account was verified.",
    }

    # --- registering ----------------------------------------------------------------------------

    def register(
        self,
        email: str,
        password: str,
        sent: str | None = None,
        opened: str | None = None,
        *,
        ip: str = "",
        mount: str = "",
    ) -> User | None:
        """Make an account and give its user, or None once a letter is to prove the email.

        An invitation proves it: `sent` is the token of one, `opened` that of a link somebody
        opened. `mount` is the path below which our pages are. Raises the refusals of
        `Accounts.register` and of `Invitations.admit`, and TooManyEmails when the network of the
        ip asked too often; EmailTaken only where no letter leaves, or with an invitation.
        """
        email = normalize.email(email)
        invitation = self._auth.invitations.admit(email, sent, opened)
        self._auth.rate_limits.check(Attempt("register", email, ip))
        self._auth.passwords.check_policy(password, [email])
        hashed = self._auth.passwords.hash(password, ip)
        if invitation is not None:
            return self._register_invited(email, hashed, invitation, ip)
        if not self._auth.mail.sends_mail:
            return self._auth.accounts.add(email, hashed)
        self._pend(email, hashed, ip, mount)
        return None

    @retried
    def _register_invited(self, email: str, hashed: str, invitation: str, ip: str) -> User:
        with self._db.transaction():
            self._auth.invitations.spend(email, invitation)
            user = self._auth.accounts.add(email, hashed)
            self.note(user.id, ip)
        return user

    @retried
    def _pend(self, email: str, hashed: str, ip: str, mount: str) -> None:
        links = self._auth.one_time_tokens
        with self._db.transaction():
            if not links.throttle(REGISTRATION, email, ip):
                return
            link = links.new(REGISTRATION, self.settings.verification_lifetime, mount)
            message_uid = self._write(email, email, link, link.expires_at, ip=ip, mount=mount)
            # For a taken email the same statement, which keeps nothing.
            links.keep(
                link,
                sent_to=email,
                data={"hashed_password": hashed},
                message_uid=message_uid,
                where=~exists().where(User.email == email),
            )

    def again(self, email: str, ip: str = "", mount: str = "") -> None:
        """Write once more to whoever registered last with an email and did not prove it.

        The link of the letter before is dead; the registration ends when it would have. The owner
        of a taken email is written to as when somebody registers with it. Nobody learns whether
        there is either. Raises MalformedEmail, RegistrationClosed and TooManyEmails.
        """
        self._auth.invitations.require_open()
        self._again(normalize.email(email), ip, mount)

    @retried
    def _again(self, email: str, ip: str, mount: str) -> None:
        links = self._auth.one_time_tokens
        with self._db.transaction():
            if not links.throttle(REGISTRATION, email, ip):
                return
            link = links.new(REGISTRATION, self.settings.verification_lifetime, mount)
            found = links.renew(link, email)
            to, expires = ("", link.expires_at) if found is None else (email, found[1])
            links.sent(link, self._write(email, to, link, expires, ip=ip, mount=mount))

    def _write(
        self, email: str, to: str, link: Link, expires: float, *, ip: str, mount: str
    ) -> str:
        """Write to whoever registered, or to the owner of a taken email; give the letter's name.

        `to` is the email, or nothing where nobody registered: to nobody is written by as much.
        """
        kind, path, user_id = "registration", link.path, None
        try:
            owner = self._db.find_user_by(email=email)
        except NoResultFound:
            pass
        else:
            # This link is no secret; encrypting it takes as long as encrypting one.
            kind, path = "already_registered", f"{mount}/reset_password"
            to, user_id = ("", None) if owner.disabled_at is not None else (owner.email, owner.id)
        told = self._auth.mail.write(kind, to, user_id, {"ip": ip}, link=path, expires=expires)
        facts = {"ip": ip} | (told if user_id is not None else {})
        self._auth.publish(Event("registration.requested", user_id, facts))
        return told["message_uid"]

    # --- proving --------------------------------------------------------------------------------

    def email_of(self, token: str | None) -> str:
        """Give the email a token is to prove; changes nothing.

        Raises RegistrationClosed when nobody may register by now, and WrongVerificationToken.
        """
        self._auth.invitations.require_open()
        return self._found(token).sent_to

    def _found(self, token: str | None) -> Token:
        found = self._auth.one_time_tokens.peek(REGISTRATION, token)
        if found is None:
            raise WrongVerificationToken
        return found

    def complete(
        self, token: str | None, password: str, email: str | None = None, ip: str = ""
    ) -> User:
        """Make the account of a pending registration, once, by its token and its password.

        `email`, where it is known, must be the registration's. Wrong passwords count as those of
        signing in do, and a new letter forgets none of them. Raises MalformedEmail, WrongVerificationToken,
        PasswordTooLong, MalformedText, RegistrationClosed when nobody may register by now, Busy,
        and what the limits raise.
        """
        self._auth.invitations.require_open()
        named = None if email is None else normalize.email(email)
        self._auth.passwords.check_form(password)
        found = self._found(token)
        if named not in {None, found.sent_to}:
            raise WrongVerificationToken
        attempt = Attempt("sign_in", found.sent_to, ip)
        if not self._auth.passwords.fits(attempt, password, found.data["hashed_password"]):
            self._auth.publish(Event("registration.refused", None, {"ip": ip}))
            raise WrongVerificationToken("password")
        return self._make(found, attempt)

    @retried
    def _make(self, found: Token, attempt: Attempt) -> User:
        with self._db.transaction():
            if not self._auth.one_time_tokens.spend_peeked(found):
                raise WrongVerificationToken
            try:
                user = self._auth.accounts.add(found.sent_to, found.data["hashed_password"])
            except EmailTaken:
                raise WrongVerificationToken from None
            self.note(user.id, attempt.ip)
            # Last, as others of this network wait from here on.
            self._auth.rate_limits.release(attempt)
        return user

    def note(self, user_id: int, ip: str = "") -> None:
        """Write down that the email an account has now is proven, in the open transaction."""
        row: Any = select(User.id, User.email, literal(clock.now(), Double()))
        written = upsert(verified_emails, self._db.on_postgresql).from_select(
            ["user_id", "email", "verified_at"], row.where(User.id == user_id)
        )
        key, proven = [verified_emails.c.user_id], written.excluded
        news = written.on_conflict_do_update(
            index_elements=key,
            set_={"email": proven.email, "verified_at": proven.verified_at},
            where=verified_emails.c.email != proven.email,
        ).returning(verified_emails.c.user_id)
        with self._db.transaction() as tx:
            if tx.execute(news).first() is not None:
                self._auth.publish(Event("email.verified", user_id, {"ip": ip}))

    def proven(self, user_id: int) -> float | None:
        """Say since when the present email of an account is proven; None when it is not."""
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
        """Give email, time and end of every pending registration, the newest first."""
        found = self._auth.one_time_tokens.list(REGISTRATION)
        return [(row.sent_to, row.created_at, row.expires_at) for row in reversed(found)]

    @retried
    def withdraw(self, email: str) -> int:
        """Forget every pending registration of an email; give how many. Raises MalformedEmail."""
        with self._db.transaction():
            sent = columns.sent_to == normalize.email(email)
            dropped = self._auth.one_time_tokens.withdraw(REGISTRATION, sent)
            if dropped:
                self._auth.publish(Event("registration.withdrawn"))
        return dropped

    # --- what others tell -----------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """End what is pending for an email that has an account now; a letter's link proves one."""
        if event.user_id is None:
            return
        if event.name in _GIVEN:
            email = self._db.find_user_by(id=event.user_id).email
            with self._db.transaction():
                self._auth.one_time_tokens.withdraw(REGISTRATION, columns.sent_to == email)
                self._auth.mail.adopt(email, "registration", event.user_id)
        if event.name in _SHOWN:
            self.note(event.user_id, str(event.facts.get("ip", "")))

    def export(self, user_id: int) -> dict[str, Any]:
        """Say since when the email is proven."""
        at = self.proven(user_id)
        return {"email_verified_at": None if at is None else clock.written(at)}

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """End all registrations that wait where registration is not open; give how many."""
        del now
        if self._auth.invitations.open_to_all:
            return 0
        with self._db.transaction():
            some = select(columns.id).where(columns.purpose == REGISTRATION.name).limit(limit)
            return self._auth.one_time_tokens.withdraw(REGISTRATION, columns.id.in_(some))
