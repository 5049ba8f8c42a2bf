"""access_tokens: how a program acts for a person, or for a service, without a session.

A token is shown once and stored as a digest. It has a name, scopes and an end. It signs no one in:
it makes no session and no other token, it reauthenticates nothing, and what changes how the account
is reached is closed to it. What ends the sessions of an account for a reason ends its tokens too
(RFC 6750; ASVS 7.2.2, 10.4.16; OWASP API2:2023).
"""

from bienvenue.features.access_tokens import commands as commands
from bienvenue.features.access_tokens import pages as pages
from bienvenue.features.access_tokens.errors import (
    LifetimeTooLong,
    MalformedLifetime,
    MalformedServiceName,
    MalformedTokenName,
    NoSuchAccessToken,
    ScopesMissing,
    ServiceAccount,
    TooManyAccessTokens,
    TooManyNewTokens,
    UnknownScope,
)
from bienvenue.features.access_tokens.models import AccessToken, AddedToken
from bienvenue.features.access_tokens.operations import AccessTokens

__all__ = [
    "AccessToken",
    "AccessTokens",
    "AddedToken",
    "LifetimeTooLong",
    "MalformedLifetime",
    "MalformedServiceName",
    "MalformedTokenName",
    "NoSuchAccessToken",
    "ScopesMissing",
    "ServiceAccount",
    "TooManyAccessTokens",
    "TooManyNewTokens",
    "UnknownScope",
]
