"""The pages of access tokens."""

from typing import Any, Literal

from pydantic import model_validator

from bienvenue import clock
from bienvenue.authentication import Caller
from bienvenue.features.access_tokens.errors import (
    LifetimeTooLong,
    MalformedLifetime,
    MalformedTokenName,
    NoSuchAccessToken,
    ScopesMissing,
    TooManyAccessTokens,
    TooManyNewTokens,
    UnknownScope,
)
from bienvenue.features.access_tokens.models import ACCOUNT_READ, AccessToken, AddedToken, written
from bienvenue.features.access_tokens.operations import AccessTokens
from bienvenue.user import SignedIn
from bienvenue.web.page import Answer, Form, Reply, Text
from bienvenue.web.refusals import NotFound

page = AccessTokens.pages

_BOX = "scope."
"""How the names of a form's boxes begin; the rest is the scope."""


class AccessTokenShown(Reply):
    """One access token, without its secret. Times are RFC 3339 in UTC."""

    uid: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str
    #: When it was last used, to about ten minutes; null if never.
    last_used_at: str | None

    @classmethod
    def of(cls, row: AccessToken) -> "AccessTokenShown":
        """Describe a row of the table."""
        used = row.last_used_at
        return cls(
            uid=row.uid,
            name=row.name,
            scopes=[*written(row.scopes)],
            created_at=clock.written(row.created_at),
            expires_at=clock.written(row.expires_at),
            last_used_at=None if used is None else clock.written(used),
        )


class AccessTokensShown(Reply):
    """The live tokens of the user, newest first."""

    access_tokens: list[AccessTokenShown]


class AccessTokenForm(Reply):
    """The form for a new token, with every scope that it may have."""

    scopes: dict[str, str]
    action: Literal["POST /access_tokens"] = "POST /access_tokens"


class NewAccessToken(Form):
    """A request for a new token. A form may have a box `scope.NAME` in place of `scopes`."""

    name: Text
    #: Names separated by spaces; `*` for full access.
    scopes: str = ""
    #: A number with a unit, as "90d"; by default that of the settings.
    lifetime: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _boxes(cls, values: Any) -> Any:
        """Read the boxes of a form, whose fields have different names, as `scopes`."""
        chosen = [name.removeprefix(_BOX) for name in values if name.startswith(_BOX)]
        if not chosen:
            return values
        others = {name: value for name, value in values.items() if not name.startswith(_BOX)}
        return others | {"scopes": " ".join(chosen)}


class AccessTokenAdded(Reply):
    """A new token, with its secret, which is never shown again."""

    uid: str
    name: str
    scopes: list[str]
    expires_at: str
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 (a type, no secret)

    @classmethod
    def of(cls, added: AddedToken) -> "AccessTokenAdded":
        """Describe a new token."""
        return cls(
            uid=added.uid,
            name=added.name,
            scopes=[*added.scopes],
            expires_at=clock.written(added.expires_at),
            access_token=added.secret,
        )


@page(
    "GET /access_tokens",
    returns={200: AccessTokensShown},
    errors=(NotFound,),
    scope=ACCOUNT_READ,
)
def access_tokens(me: SignedIn) -> Answer:
    """List the user's access tokens."""
    rows = [AccessTokenShown.of(row) for row in AccessTokens.current().own(me)]
    return Answer(AccessTokensShown(access_tokens=rows), template="access_tokens/list.html")


@page(
    "GET /access_tokens/new",
    returns={200: AccessTokenForm},
    errors=(NotFound,),
    reauth=True,
)
def new_access_token() -> Answer:
    """Show the form for a new access token."""
    offered = AccessTokens.current().offered()
    return Answer(AccessTokenForm(scopes=offered), template="access_tokens/new.html")


@page(
    "POST /access_tokens",
    accepts=NewAccessToken,
    returns={201: AccessTokenAdded},
    errors=(
        MalformedTokenName,
        MalformedLifetime,
        ScopesMissing,
        UnknownScope,
        LifetimeTooLong,
        TooManyAccessTokens,
        TooManyNewTokens,
        NotFound,
    ),
    reauth=True,
    form_template="access_tokens/new.html",
)
def add_access_token(form: NewAccessToken, caller: Caller, me: SignedIn) -> Answer:
    """Make an access token, which is shown this once."""
    added = AccessTokens.current().add(caller, me, form.name, form.scopes, form.lifetime)
    return Answer(AccessTokenAdded.of(added), 201, template="access_tokens/added.html", once=True)


@page(
    "DELETE /access_tokens/<uid>",
    returns={204: None},
    errors=(NoSuchAccessToken,),
    scope="",
)
def revoke_access_token(uid: str, caller: Caller, me: SignedIn) -> Answer:
    """Revoke an access token by its uid; a token can revoke itself, as "current"."""
    AccessTokens.current().end_one(caller, me, uid)
    return Answer(status=204, redirect_to="/access_tokens", flash="token-revoked")
