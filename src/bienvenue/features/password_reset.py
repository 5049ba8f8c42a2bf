"""password_reset: set a new password with a link sent by email.

A request gets the same response after the same work whether the email has an account or not; only
the mailbox of the account receives the token. One token is outstanding at a time, its digest in
`users.reset_token`, for an hour. Spending it sets a password, ends every session and all else that
`revoke` covers, starts no session, and notifies the owner (NIST SP 800-63B-4 section 4.2.1.2; ASVS
6.4.3).
"""

from typing import Any, ClassVar, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.exc import NoResultFound

from bienvenue import clock, normalize, purposes, tokens
from bienvenue.authentication import Caller
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Reason, Refusal, needs
from bienvenue.features.account_closure import AccountClosure
from bienvenue.features.mail import EmailSent, Mail, TooManyEmails
from bienvenue.features.one_time_tokens import Link, OneTimeTokens, columns
from bienvenue.features.passwords import (
    PasswordCommon,
    PasswordOwnWords,
    Passwords,
    PasswordTooLong,
    PasswordTooShort,
)
from bienvenue.features.rate_limits import RateLimits
from bienvenue.settings import Seconds, Section
from bienvenue.tokens import Purpose
from bienvenue.user import User, table_of
from bienvenue.web.page import Answer, Email, Form, LinkToken, Pages, Password, Reply, Visitor
from bienvenue.web.refusals import LinkNotOpen

#: The link of a reset. One is outstanding for an account; `users.reset_token` holds its digest.
PASSWORD_RESET = Purpose("password_reset", purposes.PASSWORD_RESET, "/reset_password")


# --- words --------------------------------------------------------------------------------------


class WrongResetToken(Refusal):
    """The token was used, was replaced, has expired, or belongs to another email."""

    status = 403
    code = "wrong_reset_token"
    message = "This link was already used, was replaced or has expired. Get a new one."


# --- operations ---------------------------------------------------------------------------------


class PasswordResetSettings(Section):
    """How long the link of a reset works."""

    password_reset_lifetime: Seconds = Field(
        3600, le=86400, description="How long the link to reset a password works; at most a day."
    )


class PasswordReset(Feature[PasswordResetSettings]):
    """The operations of password reset."""

    name = "password_reset"
    _account_closure = needs(AccountClosure)
    _mail = needs(Mail)
    _one_time_tokens = needs(OneTimeTokens)
    _passwords = needs(Passwords)
    _rate_limits = needs(RateLimits)
    Settings = PasswordResetSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "password_reset.requested": "A password reset was requested.",
        "password.reset": "The password was reset with a link sent by email.",
    }
    notices: ClassVar = {"password.reset": "password_was_reset"}
    links = (PASSWORD_RESET,)

    def context(self) -> dict[str, Any]:
        """Return for how many seconds its link works."""
        return {"lifetimes": {"password_reset": self.settings.password_reset_lifetime}}

    def request(self, caller: Caller, email: str) -> None:
        """Send a reset link to an email if it has an account; the caller does not learn whether.

        The owner of a closed account gets the link that reopens it instead. Raises MalformedEmail,
        and TooManyEmails when the caller's network requested too many (NIST SP 800-63B-4 section
        4.2.1.2).
        """
        email = normalize.email(email)
        self._one_time_tokens.admit(caller, PASSWORD_RESET)
        self._request(caller, email)

    def issue(self, caller: Caller, email: str) -> str | None:
        """Return a token to code of this process instead of an email; None without an account.

        Raises MalformedEmail.
        """
        return self._issue(caller, normalize.email(email))

    @retried
    def _request(self, caller: Caller, email: str) -> None:
        with self._db.transaction():
            if self._one_time_tokens.throttle(caller, PASSWORD_RESET, email):
                self._write(caller, self._owner(email))
                self._account_closure.remind(caller, email)

    @retried
    def begin(self, caller: Caller, email: str) -> None:
        """Send a reset link to an email that was verified in another way, without rate limit.

        A disabled account gets no email.
        """
        with self._db.transaction():
            user = self._owner(email)
            if user is not None:
                self._write(caller, user)

    def _write(self, caller: Caller, user: User | None) -> None:
        link = self._one_time_tokens.new(
            caller, PASSWORD_RESET, self.settings.password_reset_lifetime
        )
        owner, to = (None, "") if user is None else (user.id, user.email)
        queued = self._mail.write(
            "password_reset",
            to,
            owner,
            {"ip": caller.address},
            link=link.path,
            expires=link.expires_at,
        )
        self._keep(user, link, queued["message_uid"])
        facts = queued if user else {}
        self._registry.publish(Event(caller, "password_reset.requested", owner, facts))

    @retried
    def _issue(self, caller: Caller, email: str) -> str | None:
        with self._db.transaction():
            user = self._owner(email)
            token, link = self._one_time_tokens.new_token(
                PASSWORD_RESET, self.settings.password_reset_lifetime
            )
            self._keep(user, link, None)
            if user is not None:
                self._registry.publish(Event(caller, "password_reset.requested", user.id))
        return None if user is None else token

    def _owner(self, email: str) -> User | None:
        try:
            user = self._db.find_user_by(email=email)
        except NoResultFound:
            return None
        return user if user.disabled_at is None else None

    def _keep(self, user: User | None, link: Link, message_uid: str | None) -> None:
        """Make a link the only outstanding one; without a user they store nothing."""
        user_id, email = (0, "") if user is None else (user.id, user.email)
        with self._db.transaction() as tx:
            # Checked again: a token must not outlive the disabling of an account meanwhile.
            mine = (User.id == user_id) & (User.email == email) & User.disabled_at.is_(None)
            tx.change(update(User).where(mine).values(reset_token=link.digest.hex()))
            self._one_time_tokens.keep(
                link,
                sent_to=email,
                user_id=user_id,
                message_uid=message_uid,
                slot=user_id,
                where=exists().where(mine),
            )

    def email_of(self, token: str | None) -> str:
        """Return the email a token was sent to; it stays unspent. Raises WrongResetToken."""
        with self._db.reading() as tx:
            found = None
            if tokens.well_formed(token):
                found = tx.scalar(select(User.email).where(self._alive(str(token))))
        if found is None:
            raise WrongResetToken
        return found

    @staticmethod
    def _alive(token: str) -> ColumnElement[bool]:
        """Return the condition that a token is the outstanding one of a row of `users`."""
        sent = OneTimeTokens.alive(PASSWORD_RESET, token)
        mine = (columns.user_id == User.id) & (columns.sent_to == User.email)
        digest = PASSWORD_RESET.digest_of(token).hex()
        return (
            (User.reset_token == digest)
            & User.disabled_at.is_(None)
            & exists().where(sent, mine).correlate(table_of(User))
        )

    def complete(self, caller: Caller, token: str | None, password: str, email: str | None) -> str:
        """Spend a token to set a new password; return the email of the account.

        `email`, if given, must be the account's. Raises WrongResetToken, and the refusals of
        `Passwords.check_policy`, after which the token stays unspent (ASVS 6.4.3).
        """
        owner = self.email_of(token)
        if email is not None and normalize.email(email) != owner:
            raise WrongResetToken
        self._passwords.check_policy(password, [owner], "new_password")
        hashed = self._passwords.hash(caller, password)
        self._spend(caller, str(token), owner, hashed)
        return owner

    @retried
    def _spend(self, caller: Caller, token: str, email: str, hashed: str) -> None:
        with self._db.transaction() as tx:
            spent = tx.execute(
                update(User)
                .where(self._alive(token), User.email == email)
                .values(hashed_password=hashed, reset_token=None)
                .returning(User.id)
                .execution_options(synchronize_session=False)
            ).scalar_one_or_none()
            if spent is None:
                raise WrongResetToken
            # This deletes the row of the token too.
            self._registry.revoke(caller, spent, Reason.PASSWORD_RESET)
            self._rate_limits.clear(email)
            self._registry.publish(Event(caller, "password.reset", spent))

    def revoke(
        self, _caller: Caller, user_id: int, _reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Clear the digest of the outstanding token of an account."""
        with self._db.transaction() as tx:
            tx.change(update(User).where(User.id == user_id).values(reset_token=None))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return when the outstanding reset link expires (RFC 3339 in UTC), or None."""
        found = self._one_time_tokens.of_user(PASSWORD_RESET, user_id)
        state = None if found is None else {"expires_at": clock.written(found.expires_at)}
        return {"password_reset": state}

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Clear the digests of expired tokens; return how many.

        `now` is in seconds since 1970, `limit` the most rows to change.
        """
        alive = exists().where(
            columns.purpose == PASSWORD_RESET.name,
            columns.user_id == User.id,
            columns.expires_at > now,
        )
        expired = User.reset_token.is_not(None) & ~alive.correlate(table_of(User))
        with self._db.transaction() as tx:
            some = select(User.id).where(expired).limit(limit)
            ids = tx.scalars(some).all()
            stale = User.id.in_(ids) & expired
            return tx.change(update(User).where(stale).values(reset_token=None))


# --- pages --------------------------------------------------------------------------------------

page = PasswordReset.pages


class PasswordResetForm(Reply):
    """The form that requests a reset link."""

    action: Literal["POST /reset_password"] = "POST /reset_password"


class PasswordResetRequest(Form):
    """A request for a reset link."""

    email: Email


class NewPasswordForm(Reply):
    """The form that sets a new password, and the email of the account."""

    email: str
    action: Literal["PUT /reset_password"] = "PUT /reset_password"


class NewPassword(Form):
    """A new password and its token, which a browser keeps in a cookie."""

    email: Email
    new_password: Password
    reset_token: LinkToken = None


class PasswordUpdated(Reply):
    """The password was set."""

    email: str
    message: Literal["Password updated"] = "Password updated"


@page(
    "GET /reset_password",
    returns={200: PasswordResetForm},
    public=True,
    link="reset",
    redirect_to="/reset_password/new",
)
def reset_page() -> Answer:
    """Show the form that requests a link; an emailed link redirects to the next form."""
    return Answer(PasswordResetForm(), template="password_reset/ask.html")


@page(
    "POST /reset_password",
    accepts=PasswordResetRequest,
    returns={202: EmailSent},
    errors=(normalize.MalformedEmail, TooManyEmails),
    public=True,
    form_template="password_reset/ask.html",
)
def get_reset_password_token(form: PasswordResetRequest, caller: Caller) -> Answer:
    """Send a reset link to an email, if it has an account."""
    PasswordReset.current().request(caller, form.email)
    return Answer(EmailSent(email=form.email), 202, template="password_reset/asked.html")


@page(
    "GET /reset_password/new",
    returns={200: NewPasswordForm},
    errors=(WrongResetToken, LinkNotOpen),
    public=True,
    form_template="password_reset/ask.html",
)
def new_password_page(visitor: Visitor) -> Answer:
    """Show the form that sets a new password for the account of an emailed link."""
    email = PasswordReset.current().email_of(visitor.link_token("reset"))
    return Answer(NewPasswordForm(email=email), template="password_reset/new.html")


@page(
    "PUT /reset_password",
    accepts=NewPassword,
    returns={200: PasswordUpdated},
    errors=(
        normalize.MalformedEmail,
        PasswordTooShort,
        PasswordTooLong,
        PasswordCommon,
        PasswordOwnWords,
        WrongResetToken,
        LinkNotOpen,
    ),
    public=True,
    form_template="password_reset/new.html",
    hashes=True,
)
def update_password(form: NewPassword, caller: Caller, visitor: Visitor) -> Answer:
    """Set a new password with the token of the email. It starts no session."""
    email = PasswordReset.current().complete(
        caller, visitor.link_token("reset", form.reset_token), form.new_password, form.email
    )
    return Answer(
        PasswordUpdated(email=email),
        template="password_reset/done.html",
        session=False,
        spent_link="reset",
    )
