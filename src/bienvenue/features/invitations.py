"""invitations: who may register, and letters that let somebody in.

Registration is open, for those invited, or closed; whoever runs the service decides, and still
adds accounts by hand. An invitation belongs to one email, works once and for a while. Its token
reached that mailbox, so it proves the email, too.
"""

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import click
from pydantic import Field
from sqlalchemy import LargeBinary, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, normalize, purposes, tokens
from bienvenue.db import retried, upsert
from bienvenue.feature import Event, Feature, Refusal
from bienvenue.settings import Seconds, Section
from bienvenue.user import Base, table_of

# --- the table ----------------------------------------------------------------------------------


class Invitation(Base):
    """One invitation that was not used yet; using it deletes it."""

    __tablename__ = "invitations"

    uid: Mapped[str] = mapped_column(String(36), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    at: Mapped[float]
    expires: Mapped[float] = mapped_column(index=True)


_invitations = table_of(Invitation)
_columns = _invitations.c


# --- words --------------------------------------------------------------------------------------


class RegistrationClosed(Refusal):
    """Nobody registers here, or not without an invitation."""

    status = 403
    code = "registration_closed"
    heading = "Registering is closed"
    onward = "/sessions/new"
    message = "Nobody can register here by themselves. Write to whoever runs this service."


class WrongInvitation(Refusal):
    """There is no invitation, or it is another email's, used, replaced or over."""

    status = 403
    code = "wrong_invitation"
    heading = "It takes an invitation"
    onward = "/sessions/new"
    message = (
        "Registering here takes an invitation: open the link of its letter, and register with the "
        "email it was sent to. It works once, and for a while."
    )


class NoSuchInvitation(Refusal):
    """No invitation has this name or email."""

    status = 404
    code = "no_such_invitation"
    message = "There is no invitation of this name or email."


# --- operations ---------------------------------------------------------------------------------


class RegistrationSettings(Section):
    """Who may register."""

    registration: Literal["open", "invited", "closed"] = Field(
        "open", description="Who may register: anybody (open), those invited, or nobody (closed)."
    )
    invitation_lifetime: Seconds = Field(
        7 * 86400, le=90 * 86400, description="How long an invitation works; at most 90 days."
    )


class Invitations(Feature[RegistrationSettings]):
    """The operations on invitations."""

    name = "invitations"
    Settings = RegistrationSettings
    events: ClassVar = {
        "invitation.sent": "An administrator invited somebody to register.",
        "invitation.withdrawn": "An administrator withdrew an invitation.",
    }

    @property
    def open_to_all(self) -> bool:
        """Whether anybody may register."""
        return self.settings.registration == "open"

    def require_open(self) -> None:
        """Raise RegistrationClosed unless anybody may register."""
        if not self.open_to_all:
            raise RegistrationClosed

    def admit(self, email: str, sent: str | None, opened: str | None) -> str | None:
        """Let somebody register, and give the invitation it is by; nothing is spent by it.

        A token that is `sent` must be right. That of a link they `opened` may be another email's
        where nobody needs one; then it is by none. Raises RegistrationClosed and WrongInvitation.
        """
        if self.settings.registration == "closed":
            raise RegistrationClosed
        token = sent or opened
        if self._email_of(token) == email:
            return token
        if sent or not self.open_to_all:
            raise WrongInvitation
        return None

    def welcome(self, token: str | None) -> str:
        """Give the email that the form of registering begins with. Raises as `admit` does."""
        if self.settings.registration == "closed":
            raise RegistrationClosed
        found = self._email_of(token)
        if found is None and not self.open_to_all:
            raise WrongInvitation
        return found or ""

    def _email_of(self, token: str | None) -> str | None:
        if not tokens.well_formed(token):
            return None
        with self._db.reading() as tx:
            return tx.scalar(select(Invitation.email).where(_alive(str(token))))

    def spend(self, email: str, token: str) -> None:
        """Use an invitation, in the transaction that is open. Raises WrongInvitation."""
        with self._db.transaction() as tx:
            mine = _alive(token) & (_columns.email == email)
            if tx.change(delete(Invitation).where(mine)) != 1:
                raise WrongInvitation

    @retried
    def invite(self, email: str) -> Invitation:
        """Write to somebody that they may register; an older invitation of the email is over.

        Raises MalformedEmail, EmailTaken, and RegistrationClosed where nobody may register.
        """
        if self.settings.registration == "closed":
            raise RegistrationClosed
        email, token, now = normalize.email(email), tokens.new(), clock.now()
        expires = now + self.settings.invitation_lifetime
        row = {
            "uid": str(uuid.uuid4()),
            "email": email,
            "digest": _digest(token),
            "at": now,
            "expires": expires,
        }
        with self._db.transaction() as tx:
            self._auth.accounts.require_free(email)
            written = upsert(_invitations, self._db.on_postgresql).values(row)
            # Of two at once the later one stays.
            tx.execute(written.on_conflict_do_update(index_elements=[_columns.email], set_=row))
            mail, link = self._auth.mail, f"{self._auth.root}/users/new?token={token}"
            mail.withdraw_to(email, "invitation")
            told = mail.write("invitation", email, None, {}, link=link, expires=expires)
            self._auth.publish(Event("invitation.sent", None, told))
        return Invitation(**row)

    def list(self) -> Sequence[Invitation]:
        """Give the invitations that still work, the newest first."""
        with self._db.reading() as tx:
            alive = select(Invitation).where(_columns.expires > clock.now())
            return tx.scalars(alive.order_by(_columns.at.desc())).all()

    @retried
    def withdraw(self, name: str) -> Invitation:
        """Take back an invitation by its name or email. Raises NoSuchInvitation."""
        plain = normalize.text(name, "invitation").strip().lower()
        with self._db.transaction() as tx:
            which = (_columns.uid == plain) | (_columns.email == plain)
            found = tx.scalars(select(Invitation).where(which)).one_or_none()
            if found is None or tx.change(delete(Invitation).where(which)) != 1:
                raise NoSuchInvitation
            self._auth.mail.withdraw_to(found.email, "invitation")
            self._auth.publish(Event("invitation.withdrawn"))
        return found

    def on_event(self, event: Event) -> None:
        """End the invitation of an email that has an account now, however it came to it."""
        if event.name == "account.registered" and event.user_id is not None:
            email = self._db.find_user_by(id=event.user_id).email
            with self._db.transaction() as tx:
                tx.change(delete(Invitation).where(_columns.email == email))
                self._auth.mail.adopt(email, "invitation", event.user_id)

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Forget invitations that are over; give how many."""
        with self._db.transaction() as tx:
            over = select(_columns.uid).where(_columns.expires <= now).limit(limit)
            return tx.change(delete(Invitation).where(_columns.uid.in_(over)))


def _digest(token: str) -> bytes:
    return tokens.digest(purposes.INVITATION, token)


def _alive(token: str) -> Any:
    return (_columns.digest == _digest(token)) & (_columns.expires > clock.now())


# --- commands -----------------------------------------------------------------------------------


def _line(row: Invitation) -> str:
    until = clock.written(row.expires)
    return f"{row.uid}  {clock.written(row.at)}  until {until}  {row.email}"


@click.command("invite")
@click.argument("email")
@click.pass_obj
def invite_command(service: Any, email: str) -> None:
    """Invite somebody to register; the letter has the link, and nothing else has it."""
    found = service.auth.invitations.invite(email)
    where = "is sent within seconds" if service.auth.mail.sends_mail else "is in the outbox"
    click.echo(f"invited {found.email} until {clock.written(found.expires)}; the letter {where}")


@click.command("invitations list")
@click.pass_obj
def list_command(service: Any) -> None:
    """List the invitations that still work: name, made, until, to whom."""
    found = service.auth.invitations.list()
    for row in found:
        click.echo(_line(row))
    if not found:
        click.echo("nobody is invited")


@click.command("invitations withdraw")
@click.argument("invitation")
@click.pass_obj
def withdraw_command(service: Any, invitation: str) -> None:
    """Take back an invitation, by its name or email."""
    click.echo(f"withdrew the invitation of {service.auth.invitations.withdraw(invitation).email}")


Invitations.commands = (invite_command, list_command, withdraw_command)
