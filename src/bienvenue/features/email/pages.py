"""The pages of changing one's email, and of taking that back."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bienvenue.features.email.operations import Email
from bienvenue.features.email.table import SameEmail, WrongEmailToken, WrongUndoToken
from bienvenue.features.fresh import NotFresh
from bienvenue.features.mail import LetterSent, TooManyLetters
from bienvenue.fields import MalformedEmail
from bienvenue.web import page as web
from bienvenue.web.door import AUTH
from bienvenue.web.page import Answer, Form, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

page = Email.pages


class EmailForm(Reply):
    """Where a change is asked for, and the email as it is."""

    email: str
    action: Literal["PUT /email"] = "PUT /email"


class EmailChange(Form):
    """What asking takes."""

    new_email: web.Email


class NewEmailForm(Reply):
    """Where the new email is proven, and which it is."""

    email: str
    action: Literal["POST /email/new"] = "POST /email/new"


class NewEmailProof(Form):
    """What proving takes; a browser keeps the token in a cookie."""

    email_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class EmailChanged(Reply):
    """What it gives: the email from now on."""

    email: str
    message: Literal["Email updated"] = "Email updated"


class UndoForm(Reply):
    """Where the old email is restored, and which it is."""

    email: str
    action: Literal["POST /email/undo"] = "POST /email/undo"


class Undoing(Form):
    """What restoring takes; a browser keeps the token in a cookie."""

    undo_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class EmailRestored(Reply):
    """What it gives: the email as it is again."""

    email: str
    message: Literal["Email restored"] = "Email restored"


@page("GET /email", gives={200: EmailForm})
def email_page(me: "SignedIn") -> Answer:
    """The page of changing one's email."""
    return Answer(EmailForm(email=me.email), page="email/change.html")


@page(
    "PUT /email",
    takes=EmailChange,
    gives={202: LetterSent},
    refuses=(NotFresh, MalformedEmail, SameEmail, TooManyLetters),
    again="email/change.html",
)
def change_email(form: EmailChange, me: "SignedIn", visitor: Visitor) -> Answer:
    """Ask for another email; a letter goes there. It takes a fresh session."""
    AUTH.email.ask(me, form.new_email, visitor.ip, visitor.root)
    return Answer(LetterSent(email=form.new_email), 202, page="email/asked.html")


@page(
    "GET /email/new",
    gives={200: NewEmailForm},
    refuses=(WrongEmailToken,),
    again="email/change.html",
    link="email",
)
def new_email_page(me: "SignedIn", visitor: Visitor) -> Answer:
    """The page with the button that proves the new email, for whoever is signed in there."""
    email = AUTH.email.asked_by(me, visitor.links.get("email"))
    return Answer(NewEmailForm(email=email), page="email/new.html")


@page(
    "POST /email/new",
    takes=NewEmailProof,
    gives={200: EmailChanged},
    refuses=(WrongEmailToken,),
    again="email/change.html",
)
def prove_new_email(form: NewEmailProof, me: "SignedIn", visitor: Visitor) -> Answer:
    """Change one's email by the letter's token; every other session ends."""
    email = AUTH.email.prove(
        me,
        form.email_token or visitor.links.get("email"),
        visitor.ip,
        visitor.root,
        visitor.device,
    )
    return Answer(EmailChanged(email=email), then="/profile", spent="email")


@page(
    "GET /email/undo",
    gives={200: UndoForm},
    refuses=(WrongUndoToken,),
    public=True,
    link="undo",
)
def undo_page(visitor: Visitor) -> Answer:
    """The page with the button that restores the old email, for whoever opened the link."""
    email = AUTH.email.restored_by(visitor.links.get("undo"))
    return Answer(UndoForm(email=email), page="email/undo.html")


@page(
    "POST /email/undo",
    takes=Undoing,
    gives={200: EmailRestored},
    refuses=(WrongUndoToken,),
    public=True,
)
def restore_email(form: Undoing, visitor: Visitor) -> Answer:
    """Restore the old email by its letter's token; every session ends, a reset begins."""
    email = AUTH.email.restore(
        form.undo_token or visitor.links.get("undo"), visitor.ip, visitor.root
    )
    return Answer(
        EmailRestored(email=email), page="email/restored.html", session=False, spent="undo"
    )
