"""Feature, Event, Refusal: what a feature is, what it says, and how it says no.

A feature is one file that is read to its end: what it is, its table, its words (events and
refusals), its operations, its pages. `auth.py` opens every feature in order; nobody else knows
them all.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from bienvenue.db import DB
from bienvenue.settings import Section

if TYPE_CHECKING:
    import click

    from bienvenue.auth import Auth
    from bienvenue.features.one_time_tokens import Purpose
    from bienvenue.user import User
    from bienvenue.web.page import Pages

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Reason(enum.StrEnum):
    """Why sessions, tokens and remembered browsers of an account end. Stored in the audit log."""

    ACCOUNT_CLOSED = "account closed"
    ACCOUNT_DELETED = "account deleted"
    ACCOUNT_DISABLED = "account disabled"
    EMAIL_CHANGED = "email changed"
    EMAIL_RESTORED = "email restored"
    EVERYBODY_SIGNED_OUT = "everybody was signed out"
    PASSWORD_CHANGED = "password changed"  # noqa: S105 (a reason, no secret)
    PASSWORD_RESET = "password reset"  # noqa: S105 (as above)
    SESSION_CAP = "more than the cap"
    SIGNED_IN_AGAIN = "signed in again"
    SIGNED_OUT = "signed out"
    SIGNED_OUT_BY_ADMINISTRATOR = "signed out by an administrator"
    SIGNED_OUT_ELSEWHERE = "signed out elsewhere"
    SIGNED_OUT_EVERYWHERE = "signed out everywhere"


class Refusal(Exception):
    """A no with a reason: a stable `code` for programs, a `message` for people, an HTTP status.

    It never carries what was refused, so it can be shown and logged.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    message: str = "This is refused."
    #: What pages say in place of a `message` that programs compare.
    page_message: ClassVar[str] = ""
    #: The path of the page to which a browser is redirected, to do first what is missing.
    redirect_to: ClassVar[str | None] = None
    #: The heading of its page, where the status alone says too little.
    heading: ClassVar[str] = ""
    #: The path its page links to, where opening the refused page again would be refused again.
    link_to: ClassVar[str | None] = None

    def __init__(
        self, field: str | None = None, *, message: str | None = None, **params: object
    ) -> None:
        """Take the name of the field that is wrong, and a message in place of the usual one.

        `params` stand where the message has their `{name}`.
        """
        #: The message id in the catalogues (gettext), and the values of its `{name}`.
        self.msgid = message or self.page_message or self.message
        self.params = params
        text = message or self.message
        self.message = text.format(**params) if params else text
        super().__init__(self.message)
        self.field = field
        #: Extension members of the problem document (RFC 9457 section 3.2).
        self.extensions: dict[str, Any] = {}
        #: Seconds after which to try again, or None.
        self.retry_after: int | None = None
        #: Further headers of the answer.
        self.headers: dict[str, str] = {}


@dataclass(frozen=True)
class Event:
    """Something that happened, named in the past tense: `session.opened`.

    `facts` are plain values, none of them secret.
    """

    name: str
    user_id: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: The key of a refusal that may come in floods: the record has one row a key and minute.
    counted: str | None = None
    #: How often it happened, where that was counted before it was announced.
    times: int = 1


@dataclass(frozen=True)
class Attempt:
    """Something about to be tried, before anything is looked up or hashed."""

    name: str
    email: str
    ip: str = ""
    #: Whether it comes from a device that signed in to this account before.
    known: bool = False


S = TypeVar("S", bound=Section)


class Feature(Generic[S]):
    """One capability of the service. Every verb below is optional."""

    name: ClassVar[str]
    #: Its events and what they mean; `publish` refuses a name that nobody declares.
    events: ClassVar[Mapping[str, str]] = _NOTHING
    Settings: ClassVar[type[Section]] = Section
    pages: ClassVar["Pages"]
    commands: ClassVar[Sequence["click.Command"]] = ()
    #: Its events that the owner is notified of, and the kind of notice for each.
    notices: ClassVar[Mapping[str, str]] = _NOTHING
    #: What the one-time links it sends are for.
    links: ClassVar[Sequence["Purpose"]] = ()
    #: A folder of texts in other languages, `<code>/LC_MESSAGES/bienvenue.mo` below it.
    catalogue: ClassVar[Traversable | None] = None

    def __init__(self, auth: "Auth", db: DB, settings: S) -> None:
        """Open the feature for one Auth, on its database, with its section of the settings."""
        self._auth = auth
        self._db = db
        self.settings = settings

    def required_factors(self, user: "User", completed: Iterable[str]) -> Sequence[str]:
        """Name the proofs still due before a session exists, given those shown."""
        return ()

    def on_event(self, event: Event) -> None:
        """Write what an event asks for, in the event's transaction."""

    def after_commit(self, event: Event) -> None:
        """Act on an event once it is committed; a failure here changes no answer."""

    def revoke(self, user_id: int, reason: Reason, keep_session: bytes | None = None, /) -> None:
        """Drop what this feature holds for a user whose account changed, in that transaction."""

    def export(self, user_id: int) -> Mapping[str, Any]:
        """Give all this feature holds about a person, as plain values, for the person."""
        return {}

    def work(self) -> None:
        """Do what waits for no request, as sealing and sending; called every few seconds."""

    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` rows whose time is over; give how many."""
        return 0
