"""reset: getting back in, by a letter to the owner.

Asking says the same words and does the same work whether there is an account or not; only the
owner's mailbox ever holds the token. One token is outstanding at a time, its digest in
`users.reset_token`, for an hour. Spending it sets a password, ends every session and all else that
`forget` covers, opens none, and the owner is told (NIST SP 800-63B-4 section 4.2.1.2; ASVS 6.4.3).
"""

from typing import Any, ClassVar, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.exc import NoResultFound

from bienvenue import clock, normalize, purposes, tokens
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Reason, Refusal
from bienvenue.features.mail import EmailSent, TooManyEmails
from bienvenue.features.one_time_tokens import Link, OneTimeTokens, Purpose, columns
from bienvenue.features.passwords import (
    PasswordCommon,
    PasswordOwnWords,
    PasswordTooLong,
    PasswordTooShort,
)
from bienvenue.settings import Seconds, Section
from bienvenue.user import User, table_of
from bienvenue.web.dispatch import AUTH
from bienvenue.web.page import Answer, Email, Form, Pages, Password, Reply, Visitor

#: One is outstanding for an account; `users.reset_token` holds its digest.
PASSWORD_RESET = Purpose("password_reset", purposes.PASSWORD_RESET, "/reset_password")


# --- words --------------------------------------------------------------------------------------


class WrongResetToken(Refusal):
    """The token is not the one outstanding for this email, was used, or is over."""

    status = 403
    code = "wrong_reset_token"
    message = "This link was already used, was replaced or has expired. Get a new one."


# --- operations ---------------------------------------------------------------------------------


class PasswordResetSettings(Section):
    """How long a link works."""

    password_reset_lifetime: Seconds = Field(
        3600, le=86400, description="How long the link to reset a password works; at most a day."
    )


class PasswordReset(Feature[PasswordResetSettings]):
    """The operations of getting back in."""

    name = "password_reset"
    Settings = PasswordResetSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "password_reset.requested": "A password reset was requested.",
        "password.reset": "The password was reset with a link sent by email.",
    }
    notices: ClassVar = {"password.reset": "password_was_reset"}
    links = (PASSWORD_RESET,)

    def ask(self, email: str, ip: str = "", mount: str = "") -> None:
        """Write to the owner of an email, if there is one; nobody else learns whether.

        `mount` is the path below which our pages are. Raises MalformedEmail, and TooManyEmails
        when the network of the ip asked too often.
        """
        self._asked(normalize.email(email), ip, mount)

    def issue(self, email: str) -> str | None:
        """Give code of this process a token instead of writing a letter; None for nobody."""
        return self._issued(normalize.email(email))

    @retried
    def _asked(self, email: str, ip: str, mount: str) -> None:
        with self._db.transaction():
            if self._auth.one_time_tokens.throttle(PASSWORD_RESET, email, ip):
                self._written(self._owner(email), ip, mount)

    @retried
    def begin(self, email: str, ip: str, mount: str) -> None:
        """Write to the owner of an email who proved in another way to be it, and is not counted.

        A disabled account gets no letter.
        """
        with self._db.transaction():
            user = self._owner(email)
            if user is not None:
                self._written(user, ip, mount)

    def _written(self, user: User | None, ip: str, mount: str) -> None:
        link = self._auth.one_time_tokens.new(
            PASSWORD_RESET, self.settings.password_reset_lifetime, mount
        )
        owner, to = (None, "") if user is None else (user.id, user.email)
        told = self._auth.mail.write(
            "password_reset", to, owner, {"ip": ip}, link=link.path, expires=link.expires_at
        )
        self._keep(user, link, told["message_uid"])
        facts = {"ip": ip} | (told if user else {})
        self._auth.publish(Event("password_reset.requested", owner, facts))

    @retried
    def _issued(self, email: str) -> str | None:
        with self._db.transaction():
            user = self._owner(email)
            token, link = self._auth.one_time_tokens.new_token(
                PASSWORD_RESET, self.settings.password_reset_lifetime
            )
            self._keep(user, link, None)
            if user is not None:
                self._auth.publish(Event("password_reset.requested", user.id))
        return None if user is None else token

    def _owner(self, email: str) -> User | None:
        try:
            user = self._db.find_user_by(email=email)
        except NoResultFound:
            return None
        return user if user.disabled_at is None else None

    def _keep(self, user: User | None, link: Link, message_uid: str | None) -> None:
        """Make a link the only outstanding one; for nobody, by as many statements."""
        user_id, email = (0, "") if user is None else (user.id, user.email)
        with self._db.transaction() as tx:
            # Read again: an account disabled in this moment gets none to keep until it is enabled.
            mine = (User.id == user_id) & (User.email == email) & User.disabled_at.is_(None)
            tx.change(update(User).where(mine).values(reset_token=link.digest.hex()))
            self._auth.one_time_tokens.keep(
                link,
                sent_to=email,
                user_id=user_id,
                message_uid=message_uid,
                slot=user_id,
                where=exists().where(mine),
            )

    def email_of(self, token: str | None) -> str:
        """Give the email a token was sent to; changes nothing. Raises WrongResetToken."""
        with self._db.reading() as tx:
            found = None
            if tokens.well_formed(token):
                found = tx.scalar(select(User.email).where(self._alive(str(token))))
        if found is None:
            raise WrongResetToken
        return found

    @staticmethod
    def _alive(token: str) -> ColumnElement[bool]:
        """Write the condition that a token is the outstanding one of a row of `users`."""
        sent = OneTimeTokens.alive(PASSWORD_RESET, token)
        mine = (columns.user_id == User.id) & (columns.sent_to == User.email)
        digest = PASSWORD_RESET.digest_of(token).hex()
        return (
            (User.reset_token == digest)
            & User.disabled_at.is_(None)
            & exists().where(sent, mine).correlate(table_of(User))
        )

    def complete(self, token: str | None, password: str, email: str | None, ip: str = "") -> str:
        """Set a password by a token, once; give the email of the account.

        `email`, where it is known, must be the account's. Raises WrongResetToken, and what
        `Passwords.check_policy` does, which leaves the token as it is.
        """
        owner = self.email_of(token)
        if email is not None and normalize.email(email) != owner:
            raise WrongResetToken
        self._auth.passwords.check_policy(password, [owner], "new_password")
        hashed = self._auth.passwords.hash(password, ip)
        self._spend(str(token), owner, hashed, ip)
        return owner

    @retried
    def _spend(self, token: str, email: str, hashed: str, ip: str) -> None:
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
            # This ends the row of the token, too.
            self._auth.revoke(spent, Reason.PASSWORD_RESET)
            self._auth.rate_limits.clear(email)
            self._auth.publish(Event("password.reset", spent, {"ip": ip}))

    def revoke(self, user_id: int, _reason: Reason, _keep_session: bytes | None = None) -> None:
        """Take the outstanding token of an account that changed out of its column."""
        with self._db.transaction() as tx:
            tx.change(update(User).where(User.id == user_id).values(reset_token=None))

    def export(self, user_id: int) -> dict[str, Any]:
        """Give until when the link of a reset works, if one is outstanding."""
        found = self._auth.one_time_tokens.of_user(PASSWORD_RESET, user_id)
        ends = None if found is None else {"expires_at": clock.written(found.expires_at)}
        return {"password_reset": ends}

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Take tokens that are over out of their column; give how many."""
        alive = exists().where(
            columns.purpose == PASSWORD_RESET.name,
            columns.user_id == User.id,
            columns.expires_at > now,
        )
        over = User.reset_token.is_not(None) & ~alive.correlate(table_of(User))
        with self._db.transaction() as tx:
            some = select(User.id).where(over).limit(limit)
            ids = tx.scalars(some).all()
            return tx.change(update(User).where(User.id.in_(ids), over).values(reset_token=None))


# --- pages --------------------------------------------------------------------------------------

page = PasswordReset.pages


class PasswordResetForm(Reply):
    """Where a letter is asked for."""

    action: Literal["POST /reset_password"] = "POST /reset_password"


class PasswordResetRequest(Form):
    """What asking takes."""

    email: Email


class NewPasswordForm(Reply):
    """Where a new password is chosen, and for which account."""

    email: str
    action: Literal["PUT /reset_password"] = "PUT /reset_password"


class NewPassword(Form):
    """What setting a password by a letter takes; a browser keeps the token in a cookie."""

    email: Email
    new_password: Password
    reset_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class PasswordUpdated(Reply):
    """What it gives."""

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
    """The page of asking for a letter; the link of one leads on, without its token."""
    return Answer(PasswordResetForm(), template="password_reset/ask.html")


@page(
    "POST /reset_password",
    accepts=PasswordResetRequest,
    returns={202: EmailSent},
    errors=(normalize.MalformedEmail, TooManyEmails),
    public=True,
    form_template="password_reset/ask.html",
)
def get_reset_password_token(form: PasswordResetRequest, visitor: Visitor) -> Answer:
    """Write to the owner of the account, if there is one."""
    AUTH.password_reset.ask(form.email, visitor.ip, visitor.mount)
    return Answer(EmailSent(email=form.email), 202, template="password_reset/asked.html")


@page(
    "GET /reset_password/new",
    returns={200: NewPasswordForm},
    errors=(WrongResetToken,),
    public=True,
    form_template="password_reset/ask.html",
)
def new_password_page(visitor: Visitor) -> Answer:
    """The page of choosing a new password, for whoever opened the link."""
    email = AUTH.password_reset.email_of(visitor.links.get("reset"))
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
    ),
    public=True,
    form_template="password_reset/new.html",
    hashes=True,
)
def update_password(form: NewPassword, visitor: Visitor) -> Answer:
    """Set a new password by the letter's token; nobody is signed in by it."""
    email = AUTH.password_reset.complete(
        form.reset_token or visitor.links.get("reset"), form.new_password, form.email, visitor.ip
    )
    return Answer(
        PasswordUpdated(email=email),
        template="password_reset/done.html",
        session=False,
        spent_link="reset",
    )
