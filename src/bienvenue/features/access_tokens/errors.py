"""The refusals of access tokens. Those of a request that bears one stand in `web/bearer`."""

from typing import ClassVar

from bienvenue.feature import Refusal


class MalformedTokenName(Refusal):
    """A token cannot have this name."""

    code = "malformed_token_name"
    message = "A token has a name of 1 to 100 printable characters."


class MalformedServiceName(Refusal):
    """A service cannot have this name."""

    code = "malformed_service_name"
    message = "A service has a name of 1 to 40 small letters, digits and hyphens."


class MalformedLifetime(Refusal):
    """The lifetime is not a number with a unit."""

    code = "malformed_lifetime"
    message = "Give the lifetime as a number with a unit, like 90d or 12h."


class LifetimeTooLong(Refusal):
    """The lifetime is above the largest that the settings allow."""

    status = 422
    code = "lifetime_too_long"
    message = "A token lives for {most} at most."


class ScopesMissing(Refusal):
    """No scope was named: a token that may do everything has to be asked for."""

    status = 422
    code = "scopes_missing"
    message = "Choose what the token may do."


class UnknownScope(Refusal):
    """The application declares no scope of this name."""

    status = 422
    code = "unknown_scope"
    message = "There is no scope with this name."


class TooManyAccessTokens(Refusal):
    """The account has as many tokens as it may have."""

    status = 409
    code = "too_many_access_tokens"
    message = "This account has as many tokens as it may have. Revoke one first."


class TooManyNewTokens(Refusal):
    """The user made as many tokens as they may within an hour; each is an email and a row."""

    status = 429
    code = "too_many_new_tokens"
    message = "You've created too many tokens. Try again in 1 hour."

    def __init__(self) -> None:
        """Ask to come back in an hour."""
        super().__init__()
        self.retry_after = 3600


class NoSuchAccessToken(Refusal):
    """The account has no live token with this uid."""

    status = 404
    code = "no_such_access_token"
    message = "This token doesn't exist, has expired or has already been revoked."


class ServiceAccount(Refusal):
    """The account is that of a service, which never signs in."""

    status = 403
    code = "service_account"
    message = "This is the account of a service. It can't sign in."
    #: The state of such an account in lists.
    state: ClassVar[str] = "service"
