"""flask_login: which user of an application an account belongs to.

A user of the application has a name of its own, which `get_id()` returns. The account that it is
linked to has its sessions. A link is made by an import, by a command, or when the application
signs in a user whom no account is linked to.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import click
from flask import has_request_context
from sqlalchemy import ForeignKey, String, delete, false, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bienvenue import user_fields
from bienvenue.authentication import Caller
from bienvenue.compat.flask_login import browser_session
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Reason, Refusal, needs
from bienvenue.features.accounts import Accounts, EmailTaken
from bienvenue.settings import Section
from bienvenue.user import User, table_of
from bienvenue.user_fields import UserField

_log = logging.getLogger("bienvenue")

LONGEST = 255
"""Characters of what `get_id()` may return."""

# --- table --------------------------------------------------------------------------------------


class _Base(DeclarativeBase):
    """Not the base of the service's tables: only an application with LoginManager has this one."""


class Link(_Base):
    """One account and its user of the application."""

    __tablename__ = "flask_login_links"

    user_id: Mapped[int] = mapped_column(
        ForeignKey(table_of(User).c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    #: What `get_id()` of the user returns, as a text.
    login_id: Mapped[str] = mapped_column(String(LONGEST), unique=True)
    #: Whether the account was made for an email that no one had verified.
    claimed: Mapped[bool] = mapped_column(default=False, server_default=false())


# --- errors -------------------------------------------------------------------------------------


class AlreadyLinked(Refusal):
    """The account, or the user of the application, is linked otherwise already."""

    status = 409
    code = "already_linked"
    message = "This account or this user of the application is linked already."


class NoAccount(LookupError):
    """The application signed in a user without an account, and without an email to create one."""


# --- operations ---------------------------------------------------------------------------------


def _read(value: Any) -> str:
    """Read what `get_id()` returns of an imported user."""
    found = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    found = user_fields.text(found)
    if len(found) > LONGEST:
        raise ValueError(f"has more than {LONGEST} characters")
    return found


class FlaskLogin(Feature[Section]):
    """The operations on links between accounts and users of the application."""

    name = "flask_login"
    _accounts = needs(Accounts)
    migrations = Path(__file__).parent / "migrations"
    events: ClassVar = {
        "flask_login.linked": "An account was linked to a user of the application.",
    }
    sentences: ClassVar = {
        "flask_login.linked": "Your account was connected to the application.",
    }
    user_fields: ClassVar = (
        UserField("flask_login_id", "what get_id() of the application's user returns", _read),
    )

    def id_of(self, user_id: int) -> str | None:
        """Return what `get_id()` of the user returns whom an account is linked to, or None."""
        with self._db.reading() as tx:
            return tx.scalar(select(Link.login_id).where(Link.user_id == user_id))

    def account_of(self, caller: Caller, login_id: str, email: str | None, *, trust: bool) -> User:
        """Return the account of a user of the application; create one where there is none.

        An account that has the `email` already is linked only with `trust` in it: else a user of
        the application who claims the email of another would get that account. Raises NoAccount
        without an email, MalformedEmail, PrivateEmail, EmailTaken and AlreadyLinked.
        """
        found = self._linked(login_id)
        if found is not None:
            return found
        if not email:
            raise NoAccount(
                f"the user {login_id} has no account and no email: import it, or run "
                f"`flask bienvenue users link EMAIL {login_id}`"
            )
        try:
            return self._created(caller, login_id, email, claimed=not trust)
        except EmailTaken:
            if trust:
                return self.link(caller, self._accounts.find(email).uid, login_id)
            # Two requests of one new user may cross: the other one made the account.
            found = self._linked(login_id)
            if found is None:
                _log.warning(
                    "an account has the email of the user %s of the application and is not linked "
                    "to it: `flask bienvenue users link EMAIL %s` links it, and "
                    "LoginManager.link_by_email links all",
                    login_id,
                    login_id,
                )
                raise
            return found

    def _linked(self, login_id: str) -> User | None:
        query = select(User).join(Link, Link.user_id == User.id).where(Link.login_id == login_id)
        with self._db.reading() as tx:
            return tx.scalars(query).one_or_none()

    @retried
    def _created(self, caller: Caller, login_id: str, email: str, *, claimed: bool) -> User:
        with self._db.transaction():
            user = self._accounts.add_without_password(caller, email)
            self._write(caller, user.id, login_id, claimed=claimed)
        return user

    @retried
    def link(self, caller: Caller, name: str, login_id: str) -> User:
        """Link the account of an email or uid to a user of the application; idempotent.

        Raises NoSuchUser, and AlreadyLinked where either of the two has another link.
        """
        user = self._accounts.find(name)
        if self.id_of(user.id) != login_id:
            self._write(caller, user.id, login_id)
        return user

    def _write(self, caller: Caller, user_id: int, login_id: str, *, claimed: bool = False) -> None:
        row = {"user_id": user_id, "login_id": login_id, "claimed": claimed}
        try:
            with self._db.transaction() as tx:
                tx.execute(insert(Link), row)
                self._registry.publish(Event(caller, "flask_login.linked", user_id))
        except IntegrityError:
            raise AlreadyLinked from None

    # --- what others ask and tell ---------------------------------------------------------------

    def after_commit(self, event: Event) -> None:
        """Keep, for Flask's session of this browser, that its user has just authenticated."""
        if event.name in {"session.opened", "session.reauthenticated"} and has_request_context():
            browser_session.note(str(event.facts["session"]), event.caller, fresh=True)

    def import_users(self, users: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Link new accounts to the users whose ids their lines have. Raises AlreadyLinked."""
        rows = [
            {"user_id": user_id, "login_id": values["flask_login_id"]}
            for user_id, values in users
            if "flask_login_id" in values
        ]
        if rows:
            try:
                with self._db.transaction() as tx:
                    tx.execute(insert(Link), rows)
            except IntegrityError:
                reason = "Two users have one flask_login_id, or it is that of another account."
                raise AlreadyLinked("flask_login_id", message=reason) from None

    def export_users(self, user_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return which users these accounts are linked to."""
        query = select(Link.user_id, Link.login_id).where(Link.user_id.in_(user_ids))
        with self._db.reading() as tx:
            return {
                row.user_id: {"flask_login_id": row.login_id} for row in tx.execute(query).all()
            }

    def export(self, user_id: int) -> dict[str, Any]:
        """Return which user of the application an account is linked to."""
        return {"flask_login_id": self.id_of(user_id)}

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the link of a deleted account.

        A reset proves who reads the mailbox, and an account that was made for an email that the
        application's user only claimed is theirs no longer.
        """
        which = Link.user_id == user_id
        if reason == Reason.PASSWORD_RESET:
            which &= Link.claimed
        elif reason != Reason.ACCOUNT_DELETED:
            return
        with self._db.transaction() as tx:
            tx.change(delete(Link).where(which))


# --- commands -----------------------------------------------------------------------------------


@click.command("users link")
@click.argument("user")
@click.argument("id")
@click.pass_obj
def link_command(service: Any, user: str, id: str) -> None:  # noqa: A002 (what it is called)
    """Link an account to the user of the application whose get_id() returns ID."""
    found = service.auth.use(FlaskLogin).link(service.caller, user, id)
    click.echo(f"{found.email} is the user {id} of the application")


FlaskLogin.commands = (link_command,)
