"""Bearer: the access token of a request, in its Authorization header (RFC 6750 section 2.1).

No other place is read: not the query, which logs keep, and not the body. A request bears one
credential: a token beside a session, or two tokens, is refused and no guess is made (section 2).
"""

import re
from typing import ClassVar

from bienvenue.errors import Refusal
from bienvenue.user import AccessTokenGrant, SignedIn

#: A further header field of the name, as WSGI and the edge join them, if one of them is a Bearer.
_SEVERAL = re.compile(r"(?:^|,)[ \t]*+bearer(?:[ \t,]|$)", re.ASCII | re.IGNORECASE)

#: RFC 6749 section 3.3.
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")


class BearerRefusal(Refusal):
    """A token opens nothing here; `WWW-Authenticate` says why (RFC 6750 section 3)."""

    #: The error code of RFC 6750 section 3.1.
    error: ClassVar[str]
    message = "This access token doesn't work. It may have expired or been revoked."

    def __init__(self, *, scopes: str = "") -> None:
        """Take the scopes that would be enough, separated by spaces."""
        super().__init__()
        named = " ".join(filter(_SCOPE.fullmatch, scopes.split()))
        enough = f', scope="{named}"' if named else ""
        self.headers["WWW-Authenticate"] = f'Bearer error="{self.error}"{enough}'


class InvalidToken(BearerRefusal):
    """The token is malformed, unknown, revoked or expired, or its account is disabled."""

    status = 401
    code = error = "invalid_token"


class SeveralCredentials(BearerRefusal):
    """The request bears several tokens, or a token beside the cookie of a session."""

    status = 400
    code = "several_credentials"
    error = "invalid_request"
    message = "Send one access token, and no session cookie beside it."


class InsufficientScope(BearerRefusal):
    """The token lacks a scope that this needs; `scopes` of the document names what is enough."""

    status = 403
    code = error = "insufficient_scope"
    heading = "You don't have access"
    message = "This access token doesn't have the scopes for this."

    def __init__(self, wanted: tuple[str, ...] = ()) -> None:
        """Take the scopes that are needed; none when only full access is enough."""
        super().__init__(scopes=" ".join(wanted))
        self.extensions["scopes"] = [*wanted]


class SessionRequired(BearerRefusal):
    """No token may do this, whatever its scopes."""

    status = 403
    code = "session_required"
    error = "insufficient_scope"
    heading = "You don't have access"
    message = "An access token can't do this. Sign in to do it."


def token_in(authorization: str) -> str | None:
    """Return what stands behind `Bearer`, well-formed or not; None for another scheme.

    The name of the scheme may be in capitals or not (RFC 9110 section 11.1). Raises
    SeveralCredentials.
    """
    if "," in authorization and _SEVERAL.search(authorization):
        raise SeveralCredentials
    scheme, _, token = authorization.partition(" ")
    return token.strip(" ") if scheme.lower() == "bearer" else None


def require_scopes(grant: AccessTokenGrant | None, wanted: tuple[str, ...]) -> None:
    """Raise InsufficientScope unless a token has all of these scopes; a session needs none."""
    if grant is not None and not all(grant.allows(scope) for scope in wanted):
        raise InsufficientScope(wanted)


def refuse_token(refusal: Refusal) -> None:
    """Raise a refusal that is about an access token; a page without one may be public."""
    if isinstance(refusal, BearerRefusal):
        raise refusal


def require_for_page(me: SignedIn, scope: str | None) -> None:
    """Raise SessionRequired or InsufficientScope unless `me` may have a page of ours.

    `scope` is that of the page: None for a page that no token may have, "" for one that any may.
    """
    if me.token is None or scope == "":
        return
    if scope is None:
        raise SessionRequired
    require_scopes(me.token, (scope,))
