"""Feature, Event, Refusal: the interface of a feature, its events and its refusals.

A feature is one file or folder in a fixed order: its description, its table, its events and
refusals, its operations, its pages. Only `auth.py`, which opens every feature in order, knows them
all.
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
    """Why sessions, tokens and known devices of an account end; stored in the audit log."""

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
    """A request is refused: a stable `code`, a `message` for people, an HTTP status (RFC 9457).

    It never contains the refused value, so it can be shown and logged.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    message: str = "This is refused."
    #: What pages show in place of a `message` that programs compare.
    page_message: ClassVar[str] = ""
    #: The path of the page that a browser is redirected to, for a step that is missing.
    redirect_to: ClassVar[str | None] = None
    #: The heading of its page; empty for the default heading of the status.
    heading: ClassVar[str] = ""
    #: The path its page links to, where the refused page would only be refused again.
    link_to: ClassVar[str | None] = None

    def __init__(
        self, field: str | None = None, *, message: str | None = None, **params: object
    ) -> None:
        """Take the name of the wrong field, and a message in place of the default one.

        `params` fill the placeholders `{name}` of the message.
        """
        #: The message id in the catalogues (gettext), and the values of its placeholders.
        self.msgid = message or self.page_message or self.message
        self.params = params
        text = message or self.message
        self.message = text.format(**params) if params else text
        super().__init__(self.message)
        self.field = field
        #: Extension members of the problem document (RFC 9457 section 3.2).
        self.extensions: dict[str, Any] = {}
        #: The value of Retry-After in seconds, or None.
        self.retry_after: int | None = None
        #: Further headers of the response.
        self.headers: dict[str, str] = {}


@dataclass(frozen=True)
class Event:
    """Something that happened, with a dotted name in the past tense: `session.opened`.

    `facts` are values for JSON, none of them secret.
    """

    name: str
    user_id: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: The key of a refusal that may come in floods; the audit log has one row a key and minute.
    counted: str | None = None
    #: How often it happened, if it was counted before it was published.
    times: int = 1


@dataclass(frozen=True)
class Attempt:
    """An attempt to use a password, as the rate limits count it, before any look-up or hash."""

    name: str
    email: str
    ip: str = ""
    #: Whether it comes from a known device of the account.
    known: bool = False


S = TypeVar("S", bound=Section)


class Feature(Generic[S]):
    """One capability of the service. Every method below is optional."""

    name: ClassVar[str]
    #: Its events and what they mean; `publish` refuses a name that no feature declares.
    events: ClassVar[Mapping[str, str]] = _NOTHING
    Settings: ClassVar[type[Section]] = Section
    pages: ClassVar["Pages"]
    commands: ClassVar[Sequence["click.Command"]] = ()
    #: Its events that the user is notified of, and the kind of the notice for each.
    notices: ClassVar[Mapping[str, str]] = _NOTHING
    #: The purposes of the one-time links it sends.
    links: ClassVar[Sequence["Purpose"]] = ()
    #: A folder of translations, with `<code>/LC_MESSAGES/bienvenue.mo` in it.
    catalogue: ClassVar[Traversable | None] = None

    def __init__(self, auth: "Auth", db: DB, settings: S) -> None:
        """Open the feature for an Auth, on its database, with its section of the settings."""
        self._auth = auth
        self._db = db
        self.settings = settings

    def required_factors(self, user: "User", completed: Iterable[str]) -> Sequence[str]:
        """Return the factors still required for a session, given the completed ones."""
        return ()

    def on_event(self, event: Event) -> None:
        """React to an event in its transaction; an exception rolls the transaction back."""

    def after_commit(self, event: Event) -> None:
        """React to an event after its commit; an exception is logged and changes no response."""

    def revoke(self, user_id: int, reason: Reason, keep_session: bytes | None = None, /) -> None:
        """End what this feature holds for a changed account, in the open transaction."""

    def export(self, user_id: int) -> Mapping[str, Any]:
        """Return all data of a user in this feature, ready for JSON, without secrets."""
        return {}

    def work(self) -> None:
        """Do background work, such as sending emails; the worker calls it every few seconds."""

    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` rows that expired before `now`, in seconds; return how many."""
        return 0
