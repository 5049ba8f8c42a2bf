"""The pages of leaving, and its commands."""

from typing import TYPE_CHECKING, Any, Literal

import click
from pydantic import ConfigDict, Field

from bienvenue import clock
from bienvenue.features.account_closure.operations import AccountClosure, WrongReopeningToken
from bienvenue.features.reauthentication import ReauthenticationRequired
from bienvenue.web.dispatch import AUTH
from bienvenue.web.page import Answer, Form, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

page = AccountClosure.pages


class DataExport(Reply):
    """DataExport that is kept about a person: each feature adds what it holds (RFC 3339 times)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    uid: str
    email: str
    created_at: str


class ClosureForm(Reply):
    """Where an account is closed, and when it would be deleted (RFC 3339)."""

    email: str
    until: str
    action: Literal["DELETE /profile"] = "DELETE /profile"


class Closed(Reply):
    """What closing gives; `until` is when the account is deleted (RFC 3339)."""

    email: str
    until: str
    message: Literal["account closed"] = "account closed"


class ReopeningForm(Reply):
    """Where an account is opened again, and when it would be deleted (RFC 3339)."""

    email: str
    until: str
    action: Literal["POST /account/reopen"] = "POST /account/reopen"


class Reopening(Form):
    """What opening it again takes; a browser keeps the token in a cookie."""

    reopening_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class Reopened(Reply):
    """What it gives."""

    email: str
    message: Literal["account open"] = "account open"


@page("GET /export", returns={200: DataExport}, errors=(ReauthenticationRequired,))
def export(me: "SignedIn") -> Answer:
    """Give everything that is kept about a person, as a file of JSON."""
    file = f"account-{clock.written(clock.now())[:10]}.json"
    return Answer(DataExport(**AUTH.account_closure.take(me)), filename=file)


@page("GET /account/close", returns={200: ClosureForm}, errors=(ReauthenticationRequired,))
def closure_page(me: "SignedIn") -> Answer:
    """The page of closing one's account: what happens, and when."""
    return Answer(
        ClosureForm(email=me.email, until=AUTH.account_closure.due(me)),
        template="account_closure/close.html",
    )


@page("DELETE /profile", returns={202: Closed}, errors=(ReauthenticationRequired,))
def close_account(me: "SignedIn", visitor: Visitor) -> Answer:
    """Close one's account; it is deleted later, unless a letter's link is opened before."""
    until = AUTH.account_closure.close(me, visitor.ip, visitor.agent, visitor.mount)
    return Answer(
        Closed(email=me.email, until=until),
        202,
        template="account_closure/closed.html",
        session=False,
    )


@page(
    "GET /account/reopen",
    returns={200: ReopeningForm},
    errors=(WrongReopeningToken,),
    public=True,
    link="reopening",
    formerly=("/leaving/undo",),
)
def reopening_page(visitor: Visitor) -> Answer:
    """The page of opening one's account again, for whoever opened the link."""
    email, until = AUTH.account_closure.found(visitor.links.get("reopening"))
    return Answer(ReopeningForm(email=email, until=until), template="account_closure/reopen.html")


@page(
    "POST /account/reopen",
    accepts=Reopening,
    returns={200: Reopened},
    errors=(WrongReopeningToken,),
    public=True,
)
def reopen_account(form: Reopening, visitor: Visitor) -> Answer:
    """Open one's account again by the letter's token; nobody is signed in by it."""
    email = AUTH.account_closure.undo(
        form.reopening_token or visitor.links.get("reopening"), visitor.ip, visitor.agent
    )
    return Answer(
        Reopened(email=email), template="account_closure/reopened.html", spent_link="reopening"
    )


# --- commands -----------------------------------------------------------------------------------


@click.command("users close")
@click.argument("user")
@click.pass_obj
def close_command(service: Any, user: str) -> None:
    """Close an account for its owner, who gets an email to reopen it."""
    closed, until = service.auth.account_closure.close_for(user)
    click.echo(f"closed {closed.email}, which is deleted at {until}")


@click.command("users reopen")
@click.argument("user")
@click.pass_obj
def reopen_command(service: Any, user: str) -> None:
    """Reopen a closed account."""
    click.echo(f"reopened {service.auth.account_closure.keep(user)}")


AccountClosure.commands = (close_command, reopen_command)
