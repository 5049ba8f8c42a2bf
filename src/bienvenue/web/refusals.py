"""The refusals of the dispatcher, and the refusal that any error becomes."""

import logging
from collections.abc import Iterable
from http import HTTPStatus

from werkzeug.exceptions import HTTPException

from bienvenue.db import DatabaseUnavailable
from bienvenue.errors import Refusal
from bienvenue.schema import DatabaseNotReady

_log = logging.getLogger("bienvenue")
_INTERNAL = HTTPStatus.INTERNAL_SERVER_ERROR


class NotSignedIn(Refusal):
    """There is no live session."""

    status = 401
    code = "not_signed_in"
    message = "Sign in first."
    redirect_to = "/sessions/new"

    def __init__(self) -> None:
        """Name the scheme by which a program may be known (RFC 9110 section 11.6.1)."""
        super().__init__()
        self.headers["WWW-Authenticate"] = "Bearer"


class ReauthenticationRequired(Refusal):
    """The session is valid, but its last authentication is too long ago (RFC 9470)."""

    status = 403
    code = "reauthentication_required"
    message = "You signed in a while ago. Enter your password first."
    redirect_to = "/reauthentication"


class LinkNotOpen(Refusal):
    """The request has no token of an emailed link; a browser keeps one for ten minutes only."""

    status = 403
    code = "link_not_open"
    heading = "Open the link again"
    message = "Open the link in the email again. This page works for ten minutes after that."


class NotFound(Refusal):
    """No page has this path, or it is hidden from the visitor."""

    status = 404
    code = "not_found"
    message = "There is nothing at this address."


class MethodNotAllowed(Refusal):
    """The path is right and the method is not; Allow lists those that are."""

    status = 405
    code = "method_not_allowed"
    message = "This path doesn't support this method."

    def __init__(self, allowed: Iterable[str]) -> None:
        """Take the methods that the path answers."""
        super().__init__()
        self.allow = ", ".join(sorted({*allowed, "OPTIONS"}))


class Malformed(Refusal):
    """No page can read this request, for example one for a range that a file does not have."""

    code = "malformed_request"
    message = "This request can't be read."


class Unavailable(Refusal):
    """The database cannot answer now; nothing of the request was kept."""

    status = 503
    code = "unavailable"
    message = "The service can't do this right now, and nothing was changed. Try again in a moment."

    def __init__(self) -> None:
        """Let the client try again after 5 seconds."""
        super().__init__()
        self.retry_after = 5


class NotReady(Refusal):
    """The database has not the schema of this version."""

    status = 503
    code = "not_ready"
    message = "The database is not at this version's schema: run `bienvenue db upgrade`."

    def __init__(self) -> None:
        """Let the client try again after 5 seconds: an operator has to migrate the database."""
        super().__init__()
        self.retry_after = 5


class Unexpected(Refusal):
    """A mistake of ours. The log describes it; the answer does not."""

    status = 500
    code = "unexpected"
    message = "Something went wrong on our side."


def as_refusal(error: Exception) -> Refusal:
    """Return the refusal of an error, and log one that is not expected with its traceback."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DatabaseUnavailable):
        _log.warning("the database cannot answer: %s", error)
        return NotReady() if isinstance(error, DatabaseNotReady) else Unavailable()
    if isinstance(error, HTTPException) and (error.code or _INTERNAL) < _INTERNAL:
        return Malformed()
    _log.error("a request failed", exc_info=error)
    return Unexpected()
