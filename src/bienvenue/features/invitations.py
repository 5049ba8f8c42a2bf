"""invitations: who may register, and emails that invite a person.

The operator sets registration to open, invited or closed, and can add accounts in each case. An
invitation is for one email, works once, and expires. Its token was sent to that mailbox, so it
verifies the email too.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import click
from pydantic import Field

from bienvenue import clock, normalize, purposes
from bienvenue.authentication import Caller
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Refusal, needs
from bienvenue.features.accounts import Accounts
from bienvenue.features.mail import Mail
from bienvenue.features.one_time_tokens import OneTimeTokens, Token, columns
from bienvenue.settings import Seconds, Section
from bienvenue.tokens import Purpose

#: The link of an invitation. One works for an email; a newer one replaces it.
INVITATION = Purpose("invitation", purposes.INVITATION, "/users/new")


# --- words --------------------------------------------------------------------------------------


class RegistrationClosed(Refusal):
    """Registration is closed, or requires an invitation."""

    status = 403
    code = "registration_closed"
    heading = "Registration is closed"
    link_to = "/sessions/new"
    message = "New accounts can't be created here. Contact support."


class WrongInvitation(Refusal):
    """The invitation is missing, for another email, used, replaced or expired."""

    status = 403
    code = "wrong_invitation"
    heading = "You need an invitation"
    link_to = "/sessions/new"
    message = (
        "You need an invitation to create an account. Open the link in the invitation email, and "
        "use the email address it was sent to. The link works once and expires."
    )


class NoSuchInvitation(Refusal):
    """No invitation has this name or email."""

    status = 404
    code = "no_such_invitation"
    message = "There is no invitation with this name or email."


# --- operations ---------------------------------------------------------------------------------


class RegistrationSettings(Section):
    """Who may register."""

    registration: Literal["open", "invited", "closed"] = Field(
        "open",
        description="Who may register: everyone (open), people with an invitation (invited), or "
        "no one (closed).",
    )
    invitation_lifetime: Seconds = Field(
        7 * 86400, le=90 * 86400, description="How long an invitation works; at most 90 days."
    )


class Invitations(Feature[RegistrationSettings]):
    """The operations on invitations."""

    name = "invitations"
    _accounts = needs(Accounts)
    _mail = needs(Mail)
    _one_time_tokens = needs(OneTimeTokens)
    Settings = RegistrationSettings
    links = (INVITATION,)
    events: ClassVar = {
        "invitation.sent": "An administrator sent an invitation.",
        "invitation.withdrawn": "An administrator withdrew an invitation.",
    }

    def context(self) -> dict[str, Any]:
        """Return who may register: pages lead there only where anyone may."""
        return {"registration": self.settings.registration}

    @property
    def open_to_all(self) -> bool:
        """Whether registration requires no invitation."""
        return self.settings.registration == "open"

    def require_open(self) -> None:
        """Raise RegistrationClosed unless registration is open."""
        if not self.open_to_all:
            raise RegistrationClosed

    def admit(self, email: str, sent: str | None, opened: str | None) -> str | None:
        """Allow an email to register; return the token of its invitation, which stays unspent.

        A token `sent` with the request must be the email's. The token of an `opened` link may be
        another email's where registration is open; the result is None then. Raises
        RegistrationClosed and WrongInvitation.
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
        """Return the email to fill into the registration form, or ''.

        Raises RegistrationClosed and WrongInvitation.
        """
        if self.settings.registration == "closed":
            raise RegistrationClosed
        found = self._email_of(token)
        if found is None and not self.open_to_all:
            raise WrongInvitation
        return found or ""

    def _email_of(self, token: str | None) -> str | None:
        found = self._one_time_tokens.peek(INVITATION, token)
        return None if found is None else found.sent_to

    def spend(self, email: str, token: str) -> None:
        """Spend an invitation, in the open transaction. Raises WrongInvitation."""
        if self._one_time_tokens.spend(INVITATION, token, columns.sent_to == email) is None:
            raise WrongInvitation

    @retried
    def invite(self, caller: Caller, email: str) -> Token:
        """Send an invitation to an email, and return it; it replaces an earlier one.

        Raises MalformedEmail, EmailTaken, and RegistrationClosed where registration is closed.
        """
        if self.settings.registration == "closed":
            raise RegistrationClosed
        email, links = self._accounts.new_email(email), self._one_time_tokens
        with self._db.transaction():
            self._accounts.require_free(email)
            link = links.new(caller, INVITATION, self.settings.invitation_lifetime)
            queued = self._mail.write(
                "invitation", email, None, {}, link=link.path, expires=link.expires_at
            )
            # Of two concurrent invitations the later one stays.
            links.keep(link, sent_to=email, message_uid=queued["message_uid"], slot=email)
            self._registry.publish(Event(caller, "invitation.sent", None, queued))
            return links.list(INVITATION, columns.sent_to == email)[0]

    def list(self) -> Sequence[Token]:
        """Return the invitations that still work, newest first."""
        found = self._one_time_tokens.list(INVITATION)
        return sorted(found, key=lambda row: row.created_at, reverse=True)

    @retried
    def withdraw(self, caller: Caller, name: str) -> Token:
        """Withdraw an invitation by its name or email, and return it. Raises NoSuchInvitation."""
        wanted = normalize.text(name, "invitation").strip().lower()
        links = self._one_time_tokens
        with self._db.transaction():
            which = (columns.uid == wanted) | (columns.sent_to == wanted)
            found = links.list(INVITATION, which)
            if not found or not links.withdraw(INVITATION, columns.id == found[0].id):
                raise NoSuchInvitation
            self._registry.publish(Event(caller, "invitation.withdrawn"))
        return found[0]

    def on_event(self, event: Event) -> None:
        """End the invitation of an email that has an account now."""
        if event.name == "account.registered" and event.user_id is not None:
            email = self._db.find_user_by(id=event.user_id).email
            with self._db.transaction():
                self._one_time_tokens.withdraw(INVITATION, columns.sent_to == email)
                self._mail.adopt(email, "invitation", event.user_id)


# --- commands -----------------------------------------------------------------------------------


def _line(row: Token) -> str:
    until = clock.written(row.expires_at)
    return f"{row.uid}  {clock.written(row.created_at)}  until {until}  {row.sent_to}"


@click.command("invite")
@click.argument("email")
@click.pass_obj
def invite_command(service: Any, email: str) -> None:
    """Invite someone to create an account; only the email has the link."""
    found = service.auth.use(Invitations).invite(service.caller, email)
    where = "is sent within seconds" if service.auth.use(Mail).sends_mail else "is in the outbox"
    click.echo(
        f"invited {found.sent_to} until {clock.written(found.expires_at)}; the email {where}"
    )


@click.command("invitations list")
@click.pass_obj
def list_command(service: Any) -> None:
    """List the invitations that still work: name, created, until, email."""
    found = service.auth.use(Invitations).list()
    for row in found:
        click.echo(_line(row))
    if not found:
        click.echo("no invitations are open")


@click.command("invitations withdraw")
@click.argument("invitation")
@click.pass_obj
def withdraw_command(service: Any, invitation: str) -> None:
    """Withdraw an invitation, by its name or email."""
    found = service.auth.use(Invitations).withdraw(service.caller, invitation)
    click.echo(f"withdrew the invitation of {found.sent_to}")


Invitations.commands = (invite_command, list_command, withdraw_command)
