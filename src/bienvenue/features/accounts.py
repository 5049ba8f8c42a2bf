"""accounts: creating an account, and what an administrator does to one.

An account has a public name, its `uid`, and an email that is normalised before any other use and
unique in the database. Disabling or deleting an account ends its sessions and tokens in the same
transaction (ASVS 7.4.2).
"""

import json
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Literal

import click
from pydantic import Field
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError, NoResultFound

from bienvenue import clock, normalize, user_fields
from bienvenue.authentication import Caller
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Reason, Refusal, needs
from bienvenue.features.one_time_tokens import OneTimeTokens
from bienvenue.hashing import NO_PASSWORD
from bienvenue.settings import Section
from bienvenue.user import User
from bienvenue.user_fields import UserField

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


class AccountDisabled(Refusal):
    """The password is right, but an administrator disabled the account."""

    status = 403
    code = "account_disabled"
    message = "This account is disabled. Contact support."
    #: The state of such an account in lists.
    state: ClassVar[str] = "disabled"


class NoSuchUser(Refusal):
    """No account has this email or uid."""

    status = 404
    code = "no_such_user"
    message = "There is no account with this email or uid."


class AccountReferenced(Refusal):
    """A row of another table refers to the account, and its foreign key lets none be deleted."""

    status = 409
    code = "account_referenced"
    message = (
        "Rows of the application still refer to this account. Nothing was deleted: delete or "
        "change them first."
    )


# --- operations ---------------------------------------------------------------------------------


class AccountSettings(Section):
    """What emails accounts may have."""

    private_emails: Literal["refused", "allowed"] = Field(
        "refused",
        description="Whether a new email may end in .local or home.arpa, which only the mail "
        "server of a private network reaches (refused or allowed).",
    )


class Accounts(Feature[AccountSettings]):
    """The operations on accounts."""

    name = "accounts"
    Settings = AccountSettings
    _one_time_tokens = needs(OneTimeTokens)
    events: ClassVar = {
        "account.registered": "An account was created.",
        "account.disabled": "An administrator disabled an account; its sessions ended.",
        "account.enabled": "An administrator enabled an account again.",
        "account.deleted": "An account and all its data were deleted.",
    }
    sentences: ClassVar = {
        "account.registered": "Your account was created.",
        "account.disabled": "An administrator disabled your account. All devices were signed out.",
        "account.enabled": "An administrator enabled your account again.",
    }
    user_fields: ClassVar = (
        UserField("email", "the email; required", user_fields.email),
        UserField("uid", "the public name, a UUID; a new one if empty", user_fields.uid),
        UserField(
            "created_at",
            "when the account was created; now if empty",
            user_fields.moment,
            user_fields.written,
        ),
        UserField(
            "disabled",
            "when the account was disabled, or whether it is",
            user_fields.moment_or_yes,
            user_fields.written,
        ),
        UserField("active", "the opposite of disabled", user_fields.yes_no, exported=False),
    )

    def add_without_password(self, caller: Caller, email: str) -> User:
        """Create an account that has no password.

        Raises MalformedEmail, PrivateEmail and EmailTaken.
        """
        return self.add(caller, self.new_email(email), NO_PASSWORD)

    def new_email(self, value: str, field: str = "email") -> str:
        """Return an email that an account is to have, in its stored form.

        Raises MalformedEmail, and PrivateEmail where the settings refuse it.
        """
        email = normalize.email(value, field)
        if normalize.is_private(email) and self.settings.private_emails == "refused":
            raise normalize.PrivateEmail(field)
        return email

    def emails(self) -> Iterator[str]:
        """Give the emails of all accounts, reading a thousand at a time."""
        found: Sequence[Any] = [(0, "")]
        while found:
            after = select(User.id, User.email).where(User.id > found[-1][0])
            with self._db.reading() as tx:
                found = tx.execute(after.order_by(User.id).limit(1000)).all()
            yield from (row.email for row in found)

    @retried
    def add(self, caller: Caller, email: str, hashed: str) -> User:
        """Create an account from a normalised email and a password hash. Raises EmailTaken."""
        try:
            with self._db.transaction():
                user = self._db.add_user(email, hashed)
                self.refuse_reserved(email)
                self._registry.publish(Event(caller, "account.registered", user.id))
        except IntegrityError:
            raise EmailTaken(email) from None
        return user

    def import_all(self, users: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[int]:
        """Create accounts of imported users, in the open transaction; return their ids.

        Each user is what `hashed_password` stores, and the values of `user_fields`. Raises
        IntegrityError or EmailTaken when an email or a uid was taken meanwhile.
        """
        now, emails = clock.now(), [values["email"] for _, values in users]
        rows = [
            {
                "email": values["email"],
                "hashed_password": hashed,
                "uid": values.get("uid") or str(uuid.uuid4()),
                "created_at": values.get("created_at", now),
                "disabled_at": _disabled_at(values, now),
            }
            for hashed, values in users
        ]
        with self._db.transaction() as tx:
            made = tx.execute(insert(User).returning(User.email, User.id), rows).all()
            for email in self._one_time_tokens.all_reserved(emails):
                raise EmailTaken(email)
        ids = {row.email: row.id for row in made}
        return [ids[email] for email in emails]

    def taken(self, emails: Collection[str], uids: Collection[str]) -> dict[str, int | None]:
        """Return those of some emails and uids that are taken: by which id, None if reserved."""
        with self._db.reading() as tx:
            wanted = User.email.in_(emails) | User.uid.in_(uids)
            found = tx.execute(select(User.email, User.uid, User.id).where(wanted)).all()
        given: dict[str, int | None] = dict.fromkeys(self._one_time_tokens.all_reserved(emails))
        return given | {name: row.id for row in found for name in (row.email, row.uid)}

    def export_users(self, user_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return the own row of each of these accounts, without its secrets."""
        with self._db.reading() as tx:
            users = tx.scalars(select(User).where(User.id.in_(user_ids))).all()
        return {
            user.id: {
                "uid": user.uid,
                "email": user.email,
                "created_at": user.created_at,
                "disabled": False if user.disabled_at is None else user.disabled_at,
            }
            for user in users
        }

    def require_free(self, email: str) -> None:
        """Raise EmailTaken when a normalised email has an account or is reserved for one."""
        with suppress(NoResultFound):
            self._db.find_user_by(email=email)
            raise EmailTaken(email)
        self.refuse_reserved(email)

    def refuse_reserved(self, email: str, user_id: int | None = None) -> None:
        """Raise EmailTaken when an address is reserved for an account other than `user_id`.

        Call it in the transaction that wrote the row with the address, after that: on PostgreSQL
        the write waited for the account that gives the address up; then its reservation shows.
        """
        if self._one_time_tokens.reserved(email, user_id):
            raise EmailTaken(email)

    def sign_in_refusal(self, user: User) -> Refusal | None:
        """Return the refusal of a disabled account."""
        return None if user.disabled_at is None else AccountDisabled()

    def find(self, name: str) -> User:
        """Return the user of an email or a uid. Raises NoSuchUser."""
        try:
            if normalize.is_service(name):
                return self._db.find_user_by(email=normalize.text(name, "email"))
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
    def disable(self, caller: Caller, name: str) -> User:
        """Disable an account and end its sessions; idempotent. Raises NoSuchUser."""
        with self._db.transaction() as tx:
            user = self.find(name)
            if not self.hold(user.id):
                raise NoSuchUser
            # As it is now: it may have been closed since it was read.
            tx.refresh(user)
            changed = tx.change(
                update(User)
                .where(User.id == user.id, User.disabled_at.is_(None))
                .values(disabled_at=clock.now())
            )
            # A closed account is revoked too, so that its owner cannot reopen it.
            if changed or type(self._registry.sign_in_refusal(user)) is not AccountDisabled:
                self._registry.revoke(caller, user.id, Reason.ACCOUNT_DISABLED)
                self._registry.publish(Event(caller, "account.disabled", user.id))
        return user

    @retried
    def enable(self, caller: Caller, name: str) -> User:
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
                self._registry.publish(Event(caller, "account.enabled", user.id))
        return user

    @retried
    def delete(self, caller: Caller, name: str) -> User:
        """Delete an account and all its data; its id is never reused.

        Raises NoSuchUser, and AccountReferenced while a foreign key of an application keeps it.
        """
        with refuse_if_referred(), self._db.transaction() as tx:
            user = self.find(name)
            if not self.hold(user.id):
                raise NoSuchUser
            tx.expunge(user)
            self.erase(caller, user.id)
        return user

    def hold(self, user_id: int) -> bool:
        """Lock the row of an account until the open transaction ends.

        Returns whether the account exists.
        """
        locked = select(User.id).where(User.id == user_id).with_for_update()
        with self._db.transaction() as tx:
            return tx.scalar(locked) is not None

    def erase(self, caller: Caller, user_id: int) -> None:
        """Delete an account and all its data, in the open transaction.

        Raises AccountReferenced; a key that SQLite checks at the commit is an IntegrityError then.
        """
        with refuse_if_referred(), self._db.transaction() as tx:
            uid = tx.scalar(select(User.uid).where(User.id == user_id))
            self._registry.revoke(caller, user_id, Reason.ACCOUNT_DELETED)
            tx.change(delete(User).where(User.id == user_id))
            if self._db.on_postgresql:
                # A deferred key would be checked at the commit, after the caller heard of success.
                tx.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
            self._registry.publish(Event(caller, "account.deleted", user_id, user_uid=uid))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the account's own row, without its secrets."""
        user = self._db.find_user_by(id=user_id)
        return {
            "uid": user.uid,
            "email": user.email,
            "created_at": clock.written(user.created_at),
            "disabled_at": None if user.disabled_at is None else clock.written(user.disabled_at),
        }


#: Of a foreign key: PostgreSQL's codes (appendix A of its manual), and SQLite's, where a RESTRICT
#: is a trigger.
_REFERRED_TO = {
    "23001",
    "23503",
    "SQLITE_CONSTRAINT_FOREIGNKEY",
    "SQLITE_CONSTRAINT_TRIGGER",
}


@contextmanager
def refuse_if_referred() -> Iterator[None]:
    """Raise AccountReferenced for a foreign key that keeps an account."""
    try:
        yield
    except IntegrityError as error:
        kind = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", "")
        if kind not in _REFERRED_TO:
            raise
        raise AccountReferenced from None


def _disabled_at(values: Mapping[str, Any], now: float) -> float | None:
    """Return when the account of an imported line was disabled, or None."""
    disabled = values.get("disabled", not values.get("active", True))
    if isinstance(disabled, bool):
        return now if disabled else None
    return float(disabled)


# --- commands -----------------------------------------------------------------------------------


def line(user: User, shut: Refusal | None = None) -> str:
    """Write a user as one line of a list: uid, created, state, email."""
    state = getattr(shut, "state", "enabled")
    return f"{user.uid}  {clock.written(user.created_at)}  {state:8}  {user.email}"


@click.command("users list")
@click.pass_obj
def list_command(service: Any) -> None:
    """List all accounts, oldest first: uid, created, state, email."""
    for user in service.auth.use(Accounts).list():
        click.echo(line(user, service.auth.registry.sign_in_refusal(user)))


@click.command("users show")
@click.argument("user")
@click.pass_obj
def show(service: Any, user: str) -> None:
    """Print all data of a user, except secrets, as JSON."""
    found = service.auth.use(Accounts).find(user)
    click.echo(json.dumps(service.auth.export(found.id), indent=2))


@click.command("users disable")
@click.argument("user")
@click.pass_obj
def disable(service: Any, user: str) -> None:
    """Disable an account and end all its sessions."""
    click.echo(f"disabled {service.auth.use(Accounts).disable(service.caller, user).email}")


@click.command("users enable")
@click.argument("user")
@click.pass_obj
def enable(service: Any, user: str) -> None:
    """Enable an account that is disabled or closed."""
    click.echo(f"enabled {service.auth.use(Accounts).enable(service.caller, user).email}")


@click.command("users delete")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete_command(service: Any, user: str, yes: bool) -> None:
    """Delete an account and all its data, for good."""
    found = service.auth.use(Accounts).find(user)
    if not yes:
        click.confirm(f"Delete {found.email} and all its data, for good?", abort=True)
    click.echo(f"deleted {service.auth.use(Accounts).delete(service.caller, found.uid).email}")


Accounts.commands = (list_command, show, disable, enable, delete_command)
