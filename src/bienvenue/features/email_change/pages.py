"""The pages of email change and of its restoration."""

from typing import Literal

from bienvenue.authentication import Caller
from bienvenue.features.email_change.errors import SameEmail, WrongEmailToken, WrongRestoreToken
from bienvenue.features.email_change.operations import EmailChange
from bienvenue.features.mail import EmailSent, TooManyEmails
from bienvenue.normalize import MalformedEmail, PrivateEmail
from bienvenue.user import SignedIn
from bienvenue.web import page as web
from bienvenue.web.page import Answer, Form, LinkToken, Reply, Visitor
from bienvenue.web.refusals import LinkNotOpen

page = EmailChange.pages


class EmailForm(Reply):
    """The form that requests a change, and the current email."""

    email: str
    action: Literal["PUT /email"] = "PUT /email"


class EmailChangeRequest(Form):
    """A request to change the email."""

    new_email: web.Email


class NewEmailForm(Reply):
    """The form that verifies the new email, and that email."""

    email: str
    action: Literal["POST /email/new"] = "POST /email/new"


class NewEmailVerification(Form):
    """A verification of the new email; a browser keeps the token in a cookie."""

    email_change_token: LinkToken = None


class EmailChanged(Reply):
    """The new email of the account."""

    email: str
    message: Literal["Email updated"] = "Email updated"


class EmailRestorationForm(Reply):
    """The form that restores the old email, and that email."""

    email: str
    action: Literal["POST /email/restore"] = "POST /email/restore"


class EmailRestoration(Form):
    """A request to restore the old email; a browser keeps the token in a cookie."""

    email_restore_token: LinkToken = None


class EmailRestored(Reply):
    """The restored email of the account."""

    email: str
    message: Literal["Email restored"] = "Email restored"


@page("GET /email", returns={200: EmailForm})
def email_page(me: SignedIn) -> Answer:
    """Show the form that changes the email."""
    return Answer(EmailForm(email=me.email), template="email_change/change.html")


@page(
    "PUT /email",
    accepts=EmailChangeRequest,
    returns={202: EmailSent},
    errors=(MalformedEmail, PrivateEmail, SameEmail, TooManyEmails),
    reauth=True,
    form_template="email_change/change.html",
)
def change_email(form: EmailChangeRequest, caller: Caller, me: SignedIn) -> Answer:
    """Request another email, which gets a link. It requires a fresh session."""
    EmailChange.current().request(caller, me, form.new_email)
    return Answer(EmailSent(email=form.new_email), 202, template="email_change/asked.html")


@page(
    "GET /email/new",
    returns={200: NewEmailForm},
    errors=(WrongEmailToken, LinkNotOpen),
    form_template="email_change/change.html",
    link="email_change",
)
def new_email_page(me: SignedIn, visitor: Visitor) -> Answer:
    """Show the form that verifies the new email of the signed-in user."""
    email = EmailChange.current().pending_email(me, visitor.link_token("email_change"))
    return Answer(NewEmailForm(email=email), template="email_change/new.html")


@page(
    "POST /email/new",
    accepts=NewEmailVerification,
    returns={200: EmailChanged},
    errors=(WrongEmailToken, LinkNotOpen),
    form_template="email_change/change.html",
)
def verify_new_email(
    form: NewEmailVerification, caller: Caller, me: SignedIn, visitor: Visitor
) -> Answer:
    """Change the email with the token sent to the new one; every other session ends."""
    changed = EmailChange.current().verify(
        caller, me, visitor.link_token("email_change", form.email_change_token)
    )
    return Answer(
        EmailChanged(email=changed.email),
        redirect_to="/profile",
        session=changed.secret,
        spent_link="email_change",
    )


@page(
    "GET /email/restore",
    returns={200: EmailRestorationForm},
    errors=(WrongRestoreToken, LinkNotOpen),
    public=True,
    link="email_restore",
    formerly=("/email/undo",),
)
def restoration_page(visitor: Visitor) -> Answer:
    """Show the form that restores the old email of an emailed link."""
    email = EmailChange.current().restorable_email(visitor.link_token("email_restore"))
    return Answer(EmailRestorationForm(email=email), template="email_change/restore.html")


@page(
    "POST /email/restore",
    accepts=EmailRestoration,
    returns={200: EmailRestored},
    errors=(WrongRestoreToken, LinkNotOpen),
    public=True,
)
def restore_email(form: EmailRestoration, caller: Caller, visitor: Visitor) -> Answer:
    """Restore the old email with the token sent to it; every session ends, a reset begins."""
    email = EmailChange.current().restore(
        caller, visitor.link_token("email_restore", form.email_restore_token)
    )
    return Answer(
        EmailRestored(email=email),
        template="email_change/restored.html",
        session=False,
        spent_link="email_restore",
    )
