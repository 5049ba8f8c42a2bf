"""The pages of the second email, and its command."""

from typing import TYPE_CHECKING, Any, Literal

import click
from pydantic import Field

from bienvenue import fields
from bienvenue.features.fresh import NotFresh
from bienvenue.features.mail import TooManyLetters
from bienvenue.features.second.operations import (
    NoSecondEmail,
    SameEmail,
    Second,
    WrongSecondToken,
)
from bienvenue.web.door import AUTH
from bienvenue.web.page import Answer, Email, Form, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

page = Second.pages


class SecondEmailShown(Reply):
    """One's second email, since when it is proven, and one that waits for its letter's link."""

    second_email: str | None
    since: str | None
    waiting: str | None
    action: Literal["PUT /second_email"] = "PUT /second_email"


class NewSecondEmail(Form):
    """What naming a second email takes."""

    second_email: Email


class SecondProofSent(Reply):
    """What it gives, whosever it is."""

    second_email: str
    message: Literal["check your second email"] = "check your second email"


class SecondProofForm(Reply):
    """Where a second email is proven, and for which account."""

    email: str
    second_email: str
    action: Literal["POST /second_email/proof"] = "POST /second_email/proof"


class SecondProof(Form):
    """What proving it takes; a browser keeps the token in a cookie."""

    second_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class SecondProved(Reply):
    """What it gives."""

    second_email: str
    message: Literal["second email added"] = "second email added"


@page("GET /second_email", gives={200: SecondEmailShown})
def second_email(me: "SignedIn") -> Answer:
    """Show one's second email, and the form of naming another."""
    email, since, waiting = AUTH.second.of(me.user_id)
    return Answer(
        SecondEmailShown(second_email=email, since=since, waiting=waiting), page="second/show.html"
    )


@page(
    "PUT /second_email",
    takes=NewSecondEmail,
    gives={202: SecondProofSent},
    refuses=(NotFresh, fields.MalformedEmail, SameEmail, TooManyLetters),
    again="second/show.html",
)
def set_second_email(form: NewSecondEmail, me: "SignedIn", visitor: Visitor) -> Answer:
    """Name a second email; it counts once the link of a letter there was opened."""
    AUTH.second.ask(me, form.second_email, visitor.ip, visitor.root)
    return Answer(SecondProofSent(second_email=form.second_email), 202, page="second/asked.html")


@page("DELETE /second_email", gives={204: None}, refuses=(NotFresh, NoSecondEmail))
def remove_second_email(me: "SignedIn", visitor: Visitor) -> Answer:
    """Let no more notices go to one's second email."""
    AUTH.second.remove(me, visitor.ip, visitor.agent)
    return Answer(status=204, then="/second_email")


@page(
    "GET /second_email/proof",
    gives={200: SecondProofForm},
    refuses=(WrongSecondToken,),
    public=True,
    link="second",
)
def second_proof_page(visitor: Visitor) -> Answer:
    """The page of saying that notices may come here, for whoever opened the link."""
    email, second = AUTH.second.found(visitor.links.get("second"))
    return Answer(SecondProofForm(email=email, second_email=second), page="second/prove.html")


@page(
    "POST /second_email/proof",
    takes=SecondProof,
    gives={200: SecondProved},
    refuses=(WrongSecondToken,),
    public=True,
)
def prove_second_email(form: SecondProof, visitor: Visitor) -> Answer:
    """Let notices go to a second email, by the token of the letter there."""
    email = AUTH.second.prove(
        form.second_token or visitor.links.get("second"), visitor.ip, visitor.agent
    )
    return Answer(SecondProved(second_email=email), page="second/proven.html", spent="second")


# --- commands -----------------------------------------------------------------------------------


@click.command("users second-email")
@click.argument("user")
@click.option("--remove", is_flag=True, help="Remove it, and tell both.")
@click.pass_obj
def second_email_command(service: Any, user: str, remove: bool) -> None:
    """Show the second email of an account, to which notices go as well."""
    second: Second = service.auth.second
    if remove:
        click.echo(f"removed {second.remove_for(user)}")
    else:
        known = second.of(service.auth.accounts.find(user).id)
        click.echo(known.email or "none is proven")


Second.commands = (second_email_command,)
