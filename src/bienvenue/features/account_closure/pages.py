"""The pages of account closure."""

from typing import Literal

from pydantic import ConfigDict

from bienvenue import clock
from bienvenue.authentication import Caller
from bienvenue.features.account_closure.errors import TooManyExports, WrongReopeningToken
from bienvenue.features.account_closure.operations import AccountClosure
from bienvenue.user import SignedIn
from bienvenue.web.page import Answer, Form, LinkToken, Reply, Visitor
from bienvenue.web.refusals import LinkNotOpen

page = AccountClosure.pages


class DataExport(Reply):
    """Everything stored about a user; each feature adds its own fields. Times are RFC 3339."""

    model_config = ConfigDict(extra="allow", frozen=True)

    uid: str
    email: str
    created_at: str


class ClosureForm(Reply):
    """The form that closes an account; `until` is when the account is deleted (RFC 3339)."""

    email: str
    until: str
    action: Literal["DELETE /profile"] = "DELETE /profile"


class Closed(Reply):
    """The account is closed; `until` is when it is deleted (RFC 3339)."""

    email: str
    until: str
    message: Literal["account closed"] = "account closed"


class ReopeningForm(Reply):
    """The form that reopens an account; `until` is when the account is deleted (RFC 3339)."""

    email: str
    until: str
    action: Literal["POST /account/reopen"] = "POST /account/reopen"


class Reopening(Form):
    """A request to reopen an account; a browser keeps the token in a cookie."""

    reopening_token: LinkToken = None


class Reopened(Reply):
    """The account is open again."""

    email: str
    message: Literal["account open"] = "account open"


@page("GET /export", returns={200: DataExport}, errors=(TooManyExports,), reauth=True)
def export(caller: Caller, me: SignedIn) -> Answer:
    """Download everything stored about the user, as a JSON file."""
    file = f"account-{clock.written(clock.now())[:10]}.json"
    return Answer(members=AccountClosure.current().download(caller, me), filename=file)


@page("GET /account/close", returns={200: ClosureForm}, reauth=True)
def closure_page(me: SignedIn) -> Answer:
    """Show what closing the account does, and when the account is deleted."""
    return Answer(
        ClosureForm(email=me.email, until=AccountClosure.current().deletion_time(me)),
        template="account_closure/close.html",
    )


@page("DELETE /profile", returns={202: Closed}, reauth=True)
def close_account(caller: Caller, me: SignedIn) -> Answer:
    """Close the account. It is deleted later, unless the link of an email reopens it."""
    until = AccountClosure.current().close(caller, me)
    return Answer(
        Closed(email=me.email, until=until),
        202,
        template="account_closure/closed.html",
        session=False,
    )


@page(
    "GET /account/reopen",
    returns={200: ReopeningForm},
    errors=(WrongReopeningToken, LinkNotOpen),
    public=True,
    link="reopening",
    formerly=("/leaving/undo",),
)
def reopening_page(visitor: Visitor) -> Answer:
    """Show the form that reopens the account of an emailed link."""
    email, until = AccountClosure.current().peek(visitor.link_token("reopening"))
    return Answer(ReopeningForm(email=email, until=until), template="account_closure/reopen.html")


@page(
    "POST /account/reopen",
    accepts=Reopening,
    returns={200: Reopened},
    errors=(WrongReopeningToken, LinkNotOpen),
    public=True,
)
def reopen_account(form: Reopening, caller: Caller, visitor: Visitor) -> Answer:
    """Reopen an account with the token of its email. It starts no session."""
    email = AccountClosure.current().reopen(
        caller, visitor.link_token("reopening", form.reopening_token)
    )
    return Answer(
        Reopened(email=email), template="account_closure/reopened.html", spent_link="reopening"
    )
