"""The pages of the second email, and its command."""

from typing import TYPE_CHECKING, Any, Literal

import click
from pydantic import Field

from bienvenue import normalize
from bienvenue.features.mail import TooManyEmails
from bienvenue.features.notification_email.operations import (
    NoNotificationEmail,
    NotificationEmails,
    SameAsAccountEmail,
    WrongNotificationEmailToken,
)
from bienvenue.features.reauthentication import ReauthenticationRequired
from bienvenue.web.dispatch import AUTH
from bienvenue.web.page import Answer, Email, Form, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

page = NotificationEmails.pages


class NotificationEmailShown(Reply):
    """One's second email, since when it is proven, and one that waits for its letter's link."""

    notification_email: str | None
    since: str | None
    waiting: str | None
    action: Literal["PUT /notification_email"] = "PUT /notification_email"


class NewNotificationEmail(Form):
    """What naming a second email takes."""

    notification_email: Email


class NotificationEmailSent(Reply):
    """What it gives, whosever it is."""

    notification_email: str
    message: Literal["check your second email"] = "check your second email"


class NotificationEmailVerificationForm(Reply):
    """Where a second email is proven, and for which account."""

    email: str
    notification_email: str
    action: Literal["POST /notification_email/verification"] = (
        "POST /notification_email/verification"
    )


class NotificationEmailVerification(Form):
    """What proving it takes; a browser keeps the token in a cookie."""

    notification_email_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class NotificationEmailVerified(Reply):
    """What it gives."""

    notification_email: str
    message: Literal["second email added"] = "second email added"


@page(
    "GET /notification_email",
    returns={200: NotificationEmailShown},
    formerly=("/second_email",),
)
def notification_email(me: "SignedIn") -> Answer:
    """Show one's second email, and the form of naming another."""
    email, since, waiting = AUTH.notification_email.of(me.user_id)
    return Answer(
        NotificationEmailShown(notification_email=email, since=since, waiting=waiting),
        template="notification_email/show.html",
    )


@page(
    "PUT /notification_email",
    accepts=NewNotificationEmail,
    returns={202: NotificationEmailSent},
    errors=(ReauthenticationRequired, normalize.MalformedEmail, SameAsAccountEmail, TooManyEmails),
    form_template="notification_email/show.html",
)
def set_second_email(form: NewNotificationEmail, me: "SignedIn", visitor: Visitor) -> Answer:
    """Name a second email; it counts once the link of a letter there was opened."""
    AUTH.notification_email.ask(me, form.notification_email, visitor.ip, visitor.mount)
    return Answer(
        NotificationEmailSent(notification_email=form.notification_email),
        202,
        template="notification_email/asked.html",
    )


@page(
    "DELETE /notification_email",
    returns={204: None},
    errors=(ReauthenticationRequired, NoNotificationEmail),
)
def remove_second_email(me: "SignedIn", visitor: Visitor) -> Answer:
    """Let no more notices go to one's second email."""
    AUTH.notification_email.remove(me, visitor.ip, visitor.agent)
    return Answer(status=204, redirect_to="/notification_email")


@page(
    "GET /notification_email/verification",
    returns={200: NotificationEmailVerificationForm},
    errors=(WrongNotificationEmailToken,),
    public=True,
    link="notification_email",
    formerly=("/second_email/proof",),
)
def second_proof_page(visitor: Visitor) -> Answer:
    """The page of saying that notices may come here, for whoever opened the link."""
    email, second = AUTH.notification_email.found(visitor.links.get("notification_email"))
    return Answer(
        NotificationEmailVerificationForm(email=email, notification_email=second),
        template="notification_email/verify.html",
    )


@page(
    "POST /notification_email/verification",
    accepts=NotificationEmailVerification,
    returns={200: NotificationEmailVerified},
    errors=(WrongNotificationEmailToken,),
    public=True,
)
def prove_second_email(form: NotificationEmailVerification, visitor: Visitor) -> Answer:
    """Let notices go to a second email, by the token of the letter there."""
    email = AUTH.notification_email.prove(
        form.notification_email_token or visitor.links.get("notification_email"),
        visitor.ip,
        visitor.agent,
    )
    return Answer(
        NotificationEmailVerified(notification_email=email),
        template="notification_email/verified.html",
        spent_link="notification_email",
    )


# --- commands -----------------------------------------------------------------------------------


@click.command("users notification-email")
@click.argument("user")
@click.option("--remove", is_flag=True, help="Remove it, and notify both addresses.")
@click.pass_obj
def second_email_command(service: Any, user: str, remove: bool) -> None:
    """Show the notification email of an account."""
    second: NotificationEmails = service.auth.notification_email
    if remove:
        click.echo(f"removed {second.remove_for(user)}")
    else:
        known = second.of(service.auth.accounts.find(user).id)
        click.echo(known.email or "no notification email")


NotificationEmails.commands = (second_email_command,)
