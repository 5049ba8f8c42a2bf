"""accounts: creating an account, and what an administrator does to one.

An account has a public name, its `uid`, and an email that is normalised before any other use and
unique in the database. Disabling or deleting an account ends its sessions and tokens in the same
transaction (ASVS 7.4.2).
"""

import json
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any, ClassVar, Literal

import click
from pydantic import Field
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError, NoResultFound

from bienvenue import clock, normalize
from bienvenue.db import retried
from bienvenue.feature import Attempt, Event, Feature, Reason, Refusal
from bienvenue.features.invitations import RegistrationClosed, WrongInvitation
from bienvenue.features.mail import EmailSent, TooManyEmails
from bienvenue.features.passwords import (
    PasswordCommon,
    PasswordOwnWords,
    PasswordTooLong,
    PasswordTooShort,
)
from bienvenue.hashing import NO_PASSWORD
from bienvenue.settings import Section
from bienvenue.user import User
from bienvenue.web.dispatch import AUTH
from bienvenue.web.page import Answer, Email, Form, Pages, Password, Reply, Visitor

# --- words --------------------------------------------------------------------------------------


class EmailTaken(Refusal, ValueError):
    """An account has this email, or the email is reserved for an account."""

    status = 409
    code = "email_taken"
    message = "email already registered"
    page_message = "There is already an account with this email."

    def __init__(self, email: str) -> None:
        """Take the email for the exercise's exception text; HTTP answers `message` without it."""
        super().__init__("email")
        self.args = (f"User {email} already exists",)


class NoSuchUser(Refusal):
    """No account has this email or uid."""

    status = 404
    code = "no_such_user"
    message = "There is no account with this email or uid."


# --- operations ---------------------------------------------------------------------------------


class Accounts(Feature[Section]):
    """The operations on accounts."""

    name = "accounts"
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "account.registered": "An account was created.",
        "account.disabled": "An administrator disabled an account; its sessions ended.",
        "account.enabled": "An administrator enabled an account again.",
        "account.deleted": "An account and all its data were deleted.",
    }

    def register(self, email: str, password: str, ip: str = "") -> User:
        """Create an account and return its user; `ip` is the client's, empty for code.

        Raises MalformedEmail, TooManyAttempts, Busy, the refusals of `Passwords.check_policy`, and
        EmailTaken, which is also a ValueError. A taken email costs the same hash as a free one, so
        the time of the answer doesn't show whether an account exists (ASVS 6.3.8).
        """
        email = normalize.email(email)
        self._auth.rate_limits.check(Attempt("register", email, ip))
        self._auth.passwords.check_policy(password, [email])
        return self.add(email, self._auth.passwords.hash(password, ip))

    def add_without_password(self, email: str) -> User:
        """Create an account that has no password. Raises MalformedEmail and EmailTaken."""
        return self.add(normalize.email(email), NO_PASSWORD)

    @retried
    def add(self, email: str, hashed: str) -> User:
        """Create an account from a normalised email and a password hash. Raises EmailTaken."""
        try:
            with self._db.transaction():
                user = self._db.add_user(email, hashed)
                self._auth.email_change.refuse_reserved(email)
                self._auth.publish(Event("account.registered", user.id))
        except IntegrityError:
            raise EmailTaken(email) from None
        return user

    def require_free(self, email: str) -> None:
        """Raise EmailTaken when a normalised email has an account or is reserved for one."""
        with suppress(NoResultFound):
            self._db.find_user_by(email=email)
            raise EmailTaken(email)
        self._auth.email_change.refuse_reserved(email)

    def find(self, name: str) -> User:
        """Return the user of an email or a uid. Raises NoSuchUser."""
        try:
            if "@" in name:
                return self._db.find_user_by(email=normalize.email(name))
            return self._db.find_user_by(uid=normalize.text(name, "uid").lower())
        except (NoResultFound, normalize.MalformedEmail, normalize.MalformedText):
            raise NoSuchUser from None

    def list(self) -> Iterator[User]:
        """Yield all users in the order of their creation; reads a thousand at a time."""
        last = 0
        while True:
            with self._db.reading() as tx:
                users = tx.scalars(
                    select(User).where(User.id > last).order_by(User.id).limit(1000)
                ).all()
            if not users:
                return
            yield from users
            last = users[-1].id

    @retried
    def disable(self, name: str) -> User:
        """Disable an account and end its sessions; idempotent. Raises NoSuchUser."""
        with self._db.transaction() as tx:
            user = self.find(name)
            self.hold(user.id)
            changed = tx.change(
                update(User)
                .where(User.id == user.id, User.disabled_at.is_(None))
                .values(disabled_at=clock.now())
            )
            # A closed account is revoked too, so that its owner cannot reopen it.
            if changed or self._auth.account_closure.closing(user.id):
                self._auth.revoke(user.id, Reason.ACCOUNT_DISABLED)
                self._auth.publish(Event("account.disabled", user.id))
        return user

    @retried
    def enable(self, name: str) -> User:
        """Enable a disabled or closed account; its sessions stay ended. Raises NoSuchUser."""
        with self._db.transaction() as tx:
            user = self.find(name)
            self.hold(user.id)
            changed = tx.change(
                update(User)
                .where(User.id == user.id, User.disabled_at.is_not(None))
                .values(disabled_at=None)
            )
            if changed:
                self._auth.account_closure.drop(user.id)
                self._auth.publish(Event("account.enabled", user.id))
        return user

    @retried
    def delete(self, name: str) -> User:
        """Delete an account and all its data; its id is never reused. Raises NoSuchUser."""
        with self._db.transaction() as tx:
            user = self.find(name)
            if not self.hold(user.id):
                raise NoSuchUser
            tx.expunge(user)
            self.erase(user.id)
        return user

    def hold(self, user_id: int) -> bool:
        """Lock the row of an account until the open transaction ends.

        Returns whether the account exists.
        """
        locked = select(User.id).where(User.id == user_id).with_for_update()
        with self._db.transaction() as tx:
            return tx.scalar(locked) is not None

    def erase(self, user_id: int) -> None:
        """Delete an account and all its data, in the open transaction."""
        with self._db.transaction() as tx:
            self._auth.revoke(user_id, Reason.ACCOUNT_DELETED)
            tx.change(delete(User).where(User.id == user_id))
            self._auth.publish(Event("account.deleted", user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the account's own row, without its secrets."""
        user = self._db.find_user_by(id=user_id)
        return {
            "uid": user.uid,
            "email": user.email,
            "created_at": clock.written(user.created_at),
            "disabled_at": None if user.disabled_at is None else clock.written(user.disabled_at),
        }


# --- pages --------------------------------------------------------------------------------------

page = Accounts.pages


class RegistrationRequest(Form):
    """The body of a request for an account."""

    email: Email
    password: Password
    invitation: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class Registered(Reply):
    """An account was created."""

    email: str
    message: Literal["user created"] = "user created"


class RegistrationForm(Reply):
    """The form for a new account; `email` is the invited address, or empty."""

    email: str
    action: Literal["POST /users"] = "POST /users"


@page(
    "GET /users/new",
    returns={200: RegistrationForm},
    errors=(RegistrationClosed, WrongInvitation),
    public=True,
    link="invitation",
)
def registration_page(visitor: Visitor) -> Answer:
    """Show the form for a new account; an invitation's link opens it too."""
    email = AUTH.invitations.welcome(visitor.links.get("invitation"))
    return Answer(RegistrationForm(email=email), template="accounts/register.html")


@page(
    "POST /users",
    accepts=RegistrationRequest,
    returns={201: Registered, 202: EmailSent},
    errors=(
        normalize.MalformedEmail,
        RegistrationClosed,
        WrongInvitation,
        PasswordTooShort,
        PasswordTooLong,
        PasswordCommon,
        PasswordOwnWords,
        EmailTaken,
        TooManyEmails,
    ),
    public=True,
    form_template="accounts/register.html",
    hashes=True,
)
def users(form: RegistrationRequest, visitor: Visitor) -> Answer:
    """Create an account, or send the email that verifies the address first."""
    invitation = visitor.links.get("invitation")
    return _answered(
        form.email,
        invitation,
        AUTH.registration.register(
            form.email,
            form.password,
            form.invitation,
            invitation,
            ip=visitor.ip,
            mount=visitor.mount,
        ),
    )


def _answered(email: str, invitation: str | None, user: User | None) -> Answer:
    if user is None:
        return Answer(EmailSent(email=email), 202, template="registration/sent.html")
    value, spent = Registered(email=user.email), None if invitation is None else "invitation"
    return Answer(value, 201, template="accounts/registered.html", spent_link=spent)


# --- commands -----------------------------------------------------------------------------------


def _line(user: User, closing: Collection[int] = ()) -> str:
    state = "enabled" if user.disabled_at is None else "disabled"
    if user.id in closing:
        state = "closing"
    return f"{user.uid}  {clock.written(user.created_at)}  {state:8}  {user.email}"


@click.command("users add")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--no-password", is_flag=True, help="Create an account without a password.")
@click.pass_obj
def add(service: Any, email: str, password_stdin: bool, no_password: bool) -> None:
    """Create an account."""
    accounts: Accounts = service.auth.accounts
    if no_password:
        user = accounts.add_without_password(email)
    elif password_stdin:
        line = sys.stdin.readline()
        user = accounts.register(email, line.rstrip("\r\n"))
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        user = accounts.register(email, password)
    click.echo(_line(user))


@click.command("users list")
@click.pass_obj
def list_command(service: Any) -> None:
    """List all accounts, oldest first: uid, created, state, email."""
    closing = service.auth.account_closure.all()
    for user in service.auth.accounts.list():
        click.echo(_line(user, closing))


@click.command("users show")
@click.argument("user")
@click.pass_obj
def show(service: Any, user: str) -> None:
    """Print all data of a user, except secrets, as JSON."""
    found = service.auth.accounts.find(user)
    click.echo(json.dumps(service.auth.export(found.id), indent=2))


@click.command("users disable")
@click.argument("user")
@click.pass_obj
def disable(service: Any, user: str) -> None:
    """Disable an account and end all its sessions."""
    click.echo(f"disabled {service.auth.accounts.disable(user).email}")


@click.command("users enable")
@click.argument("user")
@click.pass_obj
def enable(service: Any, user: str) -> None:
    """Enable an account that is disabled or closed."""
    click.echo(f"enabled {service.auth.accounts.enable(user).email}")


@click.command("users delete")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete_command(service: Any, user: str, yes: bool) -> None:
    """Delete an account and all its data, for good."""
    found = service.auth.accounts.find(user)
    if not yes:
        click.confirm(f"Delete {found.email} and all its data, for good?", abort=True)
    click.echo(f"deleted {service.auth.accounts.delete(found.uid).email}")


Accounts.commands = (add, list_command, show, disable, enable, delete_command)
