"""The pages of changing one's email, and of taking that back."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bienvenue.features.email_change.models import SameEmail, WrongEmailToken, WrongUndoToken
from bienvenue.features.email_change.operations import EmailChange
from bienvenue.features.mail import EmailSent, TooManyEmails
from bienvenue.features.reauthentication import ReauthenticationRequired
from bienvenue.normalize import MalformedEmail
from bienvenue.web import page as web
from bienvenue.web.dispatch import AUTH
from bienvenue.web.page import Answer, Form, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

page = EmailChange.pages


class EmailForm(Reply):
    """Where a change is asked for, and the email as it is."""

    email: str
    action: Literal["PUT /email"] = "PUT /email"


class EmailChangeRequest(Form):
    """What asking takes."""

    new_email: web.Email


class NewEmailForm(Reply):
    """Where the new email is proven, and which it is."""

    email: str
    action: Literal["POST /email/new"] = "POST /email/new"


class NewEmailVerification(Form):
    """What proving takes; a browser keeps the token in a cookie."""

    email_change_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class EmailChanged(Reply):
    """What it gives: the email from now on."""

    email: str
    message: Literal["Email updated"] = "Email updated"


class EmailRestorationForm(Reply):
    """Where the old email is restored, and which it is."""

    email: str
    action: Literal["POST /email/restore"] = "POST /email/restore"


class EmailRestoration(Form):
    """What restoring takes; a browser keeps the token in a cookie."""

    email_restore_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class EmailRestored(Reply):
    """What it gives: the email as it is again."""

    email: str
    message: Literal["Email restored"] = "Email restored"


@page("GET /email", returns={200: EmailForm})
def email_page(me: "SignedIn") -> Answer:
    """The page of changing one's email."""
    return Answer(EmailForm(email=me.email), template="email_change/change.html")


@page(
    "PUT /email",
    accepts=EmailChangeRequest,
    returns={202: EmailSent},
    errors=(ReauthenticationRequired, MalformedEmail, SameEmail, TooManyEmails),
    form_template="email_change/change.html",
)
def change_email(form: EmailChangeRequest, me: "SignedIn", visitor: Visitor) -> Answer:
    """Ask for another email; a letter goes there. It takes a fresh session."""
    AUTH.email_change.ask(me, form.new_email, visitor.ip, visitor.mount)
    return Answer(EmailSent(email=form.new_email), 202, template="email_change/asked.html")


@page(
    "GET /email/new",
    returns={200: NewEmailForm},
    errors=(WrongEmailToken,),
    form_template="email_change/change.html",
    link="email_change",
)
def new_email_page(me: "SignedIn", visitor: Visitor) -> Answer:
    """The page with the button that proves the new email, for whoever is signed in there."""
    email = AUTH.email_change.asked_by(me, visitor.links.get("email_change"))
    return Answer(NewEmailForm(email=email), template="email_change/new.html")


@page(
    "POST /email/new",
    accepts=NewEmailVerification,
    returns={200: EmailChanged},
    errors=(WrongEmailToken,),
    form_template="email_change/change.html",
)
def prove_new_email(form: NewEmailVerification, me: "SignedIn", visitor: Visitor) -> Answer:
    """Change one's email by the letter's token; every other session ends."""
    email = AUTH.email_change.prove(
        me,
        form.email_change_token or visitor.links.get("email_change"),
        visitor.ip,
        visitor.mount,
        visitor.device,
    )
    return Answer(EmailChanged(email=email), redirect_to="/profile", spent_link="email_change")


@page(
    "GET /email/restore",
    returns={200: EmailRestorationForm},
    errors=(WrongUndoToken,),
    public=True,
    link="email_restore",
    formerly=("/email/undo",),
)
def undo_page(visitor: Visitor) -> Answer:
    """The page with the button that restores the old email, for whoever opened the link."""
    email = AUTH.email_change.restored_by(visitor.links.get("email_restore"))
    return Answer(EmailRestorationForm(email=email), template="email_change/undo.html")


@page(
    "POST /email/restore",
    accepts=EmailRestoration,
    returns={200: EmailRestored},
    errors=(WrongUndoToken,),
    public=True,
)
def restore_email(form: EmailRestoration, visitor: Visitor) -> Answer:
    """Restore the old email by its letter's token; every session ends, a reset begins."""
    email = AUTH.email_change.restore(
        form.email_restore_token or visitor.links.get("email_restore"), visitor.ip, visitor.mount
    )
    return Answer(
        EmailRestored(email=email),
        template="email_change/restored.html",
        session=False,
        spent_link="email_restore",
    )
