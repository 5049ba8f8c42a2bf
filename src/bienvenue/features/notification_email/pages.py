"""The pages of the notification email."""

from typing import Literal

from bienvenue import normalize
from bienvenue.authentication import Caller
from bienvenue.features.mail import TooManyEmails
from bienvenue.features.notification_email.errors import (
    NoNotificationEmail,
    SameAsAccountEmail,
    WrongNotificationEmailToken,
)
from bienvenue.features.notification_email.operations import NotificationEmails
from bienvenue.user import SignedIn
from bienvenue.web.page import Answer, Email, Form, LinkToken, Reply, Visitor
from bienvenue.web.refusals import LinkNotOpen

page = NotificationEmails.pages


class NotificationEmailShown(Reply):
    """The notification email, when it was verified (RFC 3339), and the one not verified yet."""

    notification_email: str | None
    since: str | None
    waiting: str | None
    action: Literal["PUT /notification_email"] = "PUT /notification_email"


class NewNotificationEmail(Form):
    """A request to set the notification email."""

    notification_email: Email


class NotificationEmailSent(Reply):
    """The address a link was sent to, the same whether it has an account or not."""

    notification_email: str
    message: Literal["check your notification email"] = "check your notification email"


class NotificationEmailVerificationForm(Reply):
    """The form that verifies a notification email, and the email of its account."""

    email: str
    notification_email: str
    action: Literal["POST /notification_email/verification"] = (
        "POST /notification_email/verification"
    )


class NotificationEmailVerification(Form):
    """A verification of a notification email; a browser keeps the token in a cookie."""

    #: The email of the account that it is for.
    email: Email | None = None
    notification_email_token: LinkToken = None


class NotificationEmailVerified(Reply):
    """The verified notification email."""

    notification_email: str
    message: Literal["notification email added"] = "notification email added"


@page(
    "GET /notification_email",
    returns={200: NotificationEmailShown},
    scope="account:read",
    formerly=("/second_email",),
)
def notification_email(me: SignedIn) -> Answer:
    """Show the notification email, and the form that sets it."""
    email, since, waiting = NotificationEmails.current().of(me.user_id)
    return Answer(
        NotificationEmailShown(notification_email=email, since=since, waiting=waiting),
        template="notification_email/show.html",
    )


@page(
    "PUT /notification_email",
    accepts=NewNotificationEmail,
    returns={202: NotificationEmailSent},
    errors=(normalize.MalformedEmail, normalize.PrivateEmail, SameAsAccountEmail, TooManyEmails),
    reauth=True,
    form_template="notification_email/show.html",
)
def set_notification_email(form: NewNotificationEmail, caller: Caller, me: SignedIn) -> Answer:
    """Set the notification email; it receives notices once it is verified."""
    NotificationEmails.current().request(caller, me, form.notification_email)
    return Answer(
        NotificationEmailSent(notification_email=form.notification_email),
        202,
        template="notification_email/asked.html",
    )


@page(
    "DELETE /notification_email",
    returns={204: None},
    errors=(NoNotificationEmail,),
    reauth=True,
)
def remove_notification_email(caller: Caller, me: SignedIn) -> Answer:
    """Remove the notification email."""
    NotificationEmails.current().remove(caller, me)
    return Answer(status=204, redirect_to="/notification_email")


@page(
    "GET /notification_email/verification",
    returns={200: NotificationEmailVerificationForm},
    errors=(WrongNotificationEmailToken, LinkNotOpen),
    public=True,
    link="notification_email",
    formerly=("/second_email/proof",),
)
def notification_email_verification_page(visitor: Visitor, me: SignedIn | None) -> Answer:
    """Show the form that verifies the notification email of an emailed link."""
    email, address = NotificationEmails.current().peek(visitor.link_token("notification_email"), me)
    return Answer(
        NotificationEmailVerificationForm(email=email, notification_email=address),
        template="notification_email/verify.html",
    )


@page(
    "POST /notification_email/verification",
    accepts=NotificationEmailVerification,
    returns={200: NotificationEmailVerified},
    errors=(normalize.MalformedEmail, WrongNotificationEmailToken, LinkNotOpen),
    public=True,
)
def verify_notification_email(
    form: NotificationEmailVerification, caller: Caller, visitor: Visitor, me: SignedIn | None
) -> Answer:
    """Verify a notification email with the token sent to it."""
    email = NotificationEmails.current().verify(
        caller,
        visitor.link_token("notification_email", form.notification_email_token),
        me,
        form.email,
    )
    return Answer(
        NotificationEmailVerified(notification_email=email),
        template="notification_email/verified.html",
        spent_link="notification_email",
    )
