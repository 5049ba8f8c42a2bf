"""Who asks for an operation, and how far a sign-in has come."""

import enum
import functools
import getpass
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

from bienvenue import clock, user_agent
from bienvenue.user import User


class Channel(enum.StrEnum):
    """The way in which an operation was called; stored in the audit log."""

    PAGE = "page"
    API = "API"
    COMMAND = "command line"
    CODE = "code"
    WORKER = "worker"


@dataclass(frozen=True)
class Caller:
    """Who asks for an operation, and from where: the first argument of every operation.

    It stands in every event, so the audit log says who acted.
    """

    #: "user" and an id, "visitor" for a person who is not signed in, "operator" and the name of an
    #: account of the operating system, "code", or "service" for its own background work.
    actor: str
    channel: Channel
    #: The ip of the request, "" when it has none; None for code, whose network is not counted.
    ip: str | None = None
    #: The User-Agent header, cut to what is read.
    agent: str = ""
    #: The secret of a known device that the browser sent, not looked up yet.
    device: str | None = field(default=None, repr=False)
    #: The path under which the application has the pages, for links in emails; None for the one
    #: that the service has by itself.
    mount: str | None = None

    @property
    def signed_in(self) -> bool:
        """Whether a signed-in user acts."""
        return self.actor.startswith("user ")

    @property
    def address(self) -> str:
        """The ip, "" where there is none."""
        return self.ip or ""

    @functools.cached_property
    def origin(self) -> Mapping[str, str]:
        """The ip, the User-Agent and the device's name; empty for what no request brought.

        Reading it first inside a transaction holds its locks while the header is parsed.
        """
        return {} if self.ip is None else user_agent.facts(self.ip, self.agent)

    @property
    def device_name(self) -> str:
        """The name of the device that people read."""
        return self.origin.get("device", user_agent.UNKNOWN)


#: Code of this process, such as that of a host application.
CODE = Caller("code", Channel.CODE)
#: The background work of the service.
WORKER = Caller("service", Channel.WORKER)


def operator() -> Caller:
    """Return the caller of a command: the account of the operating system that runs it."""
    try:
        # The environment could name anyone.
        name = str(importlib.import_module("pwd").getpwuid(os.getuid()).pw_name)
    except (ImportError, KeyError):
        # A container may run under a number that has no name.
        name = getpass.getuser() if not hasattr(os, "getuid") else str(os.getuid())
    return Caller(f"operator {name}", Channel.COMMAND)


# --- signing in ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """An attempt to use a password, as the rate limits count it, before any look-up or hash."""

    name: str
    email: str
    #: "" when the request has no ip; None for code of this process, whose network is not counted.
    ip: str | None = None
    #: Whether it comes from a known device of the account.
    known: bool = False


class Factor(NamedTuple):
    """A factor that a sign-in still lacks."""

    #: What programs call it.
    name: str
    #: The page on which a person shows it.
    path: str


@dataclass(frozen=True)
class Authentication:
    """How far a sign-in has come: whose it is, and what was verified.

    What verifies something returns one. It opens nothing by itself: `Sessions.open` makes a session
    of it, or stores it for ten minutes while another factor is required.
    """

    #: The account, as it was read when its first factor was verified.
    user: User
    #: The completed methods, in order (RFC 8176); none for code that vouches for the user.
    amr: tuple[str, ...] = ()
    #: When the last of them was completed, in seconds since 1970.
    at: float = field(default_factory=lambda: clock.now())  # noqa: PLW0108 (tests replace it)
    #: The attempt that is settled once nothing is required any more.
    attempt: Attempt | None = None
    #: A hash to store in place of an outdated one.
    rehashed: str | None = field(default=None, repr=False)
    #: Where the visitor asked to return to.
    return_to: str | None = None
    #: Whether the browser keeps the cookie of the session when it closes.
    remember: bool = True
    #: Seconds for which the session lives at most, if less than the setting says.
    lifetime: int | None = None
    #: The digest under which it is stored, once it outlived a request.
    stored_digest: bytes | None = field(default=None, repr=False)

    def completed(self, method: str) -> Self:
        """Return this authentication after a further method, for example "otp" (RFC 8176)."""
        return replace(self, amr=(*self.amr, method), at=clock.now())
