"""The pages of leaving, and its commands."""

from typing import TYPE_CHECKING, Any, Literal

import click
from pydantic import ConfigDict, Field

from bienvenue import clock
from bienvenue.features.fresh import NotFresh
from bienvenue.features.leaving.operations import Leaving, WrongLeavingToken
from bienvenue.web.door import AUTH
from bienvenue.web.page import Answer, Form, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

page = Leaving.pages


class Everything(Reply):
    """Everything that is kept about a person: each feature adds what it holds (RFC 3339 times)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    uid: str
    email: str
    created: str


class ClosingForm(Reply):
    """Where an account is closed, and when it would be deleted (RFC 3339)."""

    email: str
    until: str
    action: Literal["DELETE /profile"] = "DELETE /profile"


class Closed(Reply):
    """What closing gives; `until` is when the account is deleted (RFC 3339)."""

    email: str
    until: str
    message: Literal["account closing"] = "account closing"


class LeavingUndoForm(Reply):
    """Where an account is opened again, and when it would be deleted (RFC 3339)."""

    email: str
    until: str
    action: Literal["POST /leaving/undo"] = "POST /leaving/undo"


class Undo(Form):
    """What opening it again takes; a browser keeps the token in a cookie."""

    leaving_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class Kept(Reply):
    """What it gives."""

    email: str
    message: Literal["account open"] = "account open"


@page("GET /export", gives={200: Everything}, refuses=(NotFresh,))
def export(me: "SignedIn") -> Answer:
    """Give everything that is kept about a person, as a file of JSON."""
    file = f"account-{clock.written(clock.now())[:10]}.json"
    return Answer(Everything(**AUTH.leaving.take(me)), file=file)


@page("GET /leaving", gives={200: ClosingForm}, refuses=(NotFresh,))
def leaving_page(me: "SignedIn") -> Answer:
    """The page of closing one's account: what happens, and when."""
    return Answer(
        ClosingForm(email=me.email, until=AUTH.leaving.due(me)), page="leaving/close.html"
    )


@page("DELETE /profile", gives={202: Closed}, refuses=(NotFresh,))
def close_account(me: "SignedIn", visitor: Visitor) -> Answer:
    """Close one's account; it is deleted later, unless a letter's link is opened before."""
    until = AUTH.leaving.close(me, visitor.ip, visitor.agent, visitor.root)
    return Answer(
        Closed(email=me.email, until=until), 202, page="leaving/closed.html", session=False
    )


@page(
    "GET /leaving/undo",
    gives={200: LeavingUndoForm},
    refuses=(WrongLeavingToken,),
    public=True,
    link="leaving",
)
def leaving_undo_page(visitor: Visitor) -> Answer:
    """The page of opening one's account again, for whoever opened the link."""
    email, until = AUTH.leaving.found(visitor.links.get("leaving"))
    return Answer(LeavingUndoForm(email=email, until=until), page="leaving/undo.html")


@page(
    "POST /leaving/undo",
    takes=Undo,
    gives={200: Kept},
    refuses=(WrongLeavingToken,),
    public=True,
)
def undo_leaving(form: Undo, visitor: Visitor) -> Answer:
    """Open one's account again by the letter's token; nobody is signed in by it."""
    email = AUTH.leaving.undo(
        form.leaving_token or visitor.links.get("leaving"), visitor.ip, visitor.agent
    )
    return Answer(Kept(email=email), page="leaving/kept.html", spent="leaving")


# --- commands -----------------------------------------------------------------------------------


@click.command("users close")
@click.argument("user")
@click.pass_obj
def close_command(service: Any, user: str) -> None:
    """Close an account for its owner, who gets the letter that can undo it."""
    closed, until = service.auth.leaving.close_for(user)
    click.echo(f"closed {closed.email}, which is deleted at {until}")


@click.command("users keep")
@click.argument("user")
@click.pass_obj
def keep_command(service: Any, user: str) -> None:
    """Open an account again that is being closed."""
    click.echo(f"kept {service.auth.leaving.keep(user)}")


Leaving.commands = (close_command, keep_command)
