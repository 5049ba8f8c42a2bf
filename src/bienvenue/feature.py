"""Feature: one capability of the service, and what it needs of others.

A feature is one file or folder in a fixed order: its description, its table, its events and
refusals, its operations, its pages. It names the features it uses with `needs`, so the import
proves the order. Only `auth.py`, which opens every feature in order, knows them all.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar, overload

import click

from bienvenue.authentication import Attempt, Authentication, Caller, Factor
from bienvenue.db import DB
from bienvenue.errors import Refusal
from bienvenue.finding import Check
from bienvenue.registry import Event, Reason, Registry, no_op
from bienvenue.settings import Section
from bienvenue.tokens import Purpose
from bienvenue.user import User
from bienvenue.user_fields import UserField
from bienvenue.web.identity import Identifier
from bienvenue.web.page import Pages

__all__ = [
    "Attempt",
    "Authentication",
    "Caller",
    "Event",
    "Factor",
    "Feature",
    "MenuEntry",
    "Reason",
    "Refusal",
    "current_registry",
    "needs",
]

_NOTHING: Mapping[str, str] = MappingProxyType({})

#: The registry of the service that answers the request of this context.
current_registry: ContextVar[Registry] = ContextVar("current_registry")


class MenuEntry(NamedTuple):
    """An entry of the account menu, on the profile page. Its texts are in English."""

    #: The page that it leads to.
    path: str
    title: str
    #: What the user finds there.
    hint: str
    button: str
    #: Entries are in the order of this number; those of the service have 10 to 70.
    place: int = 55


F = TypeVar("F")


class needs(Generic[F]):  # noqa: N801 (it reads as a word of the class below it)
    """Another feature that this one calls: `_mail = needs(Mail)`.

    The class must be imported for it, so a feature can only need what stands below it.
    """

    def __init__(self, kind: type[F]) -> None:
        """Take the class of the feature."""
        self.kind = kind
        self.name = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        """Take the name that the feature has for the other one."""
        self.name = name

    @overload
    def __get__(self, feature: None, owner: type[Any]) -> Self: ...

    @overload
    def __get__(self, feature: "Feature[Any]", owner: type[Any]) -> F: ...

    def __get__(self, feature: "Feature[Any] | None", owner: type[Any]) -> "Self | F":
        """Return the open feature, looked up once. Raises LookupError when it is not open."""
        if feature is None:
            return self
        # An attribute of the feature itself comes before this descriptor from now on.
        found = vars(feature)[self.name] = feature.registry.use(self.kind)
        return found


S = TypeVar("S", bound=Section)


class Feature(Generic[S]):
    """One capability of the service. Every method below is optional."""

    name: ClassVar[str]
    #: Its events and what they mean; `publish` refuses a name that no feature declares.
    events: ClassVar[Mapping[str, str]] = _NOTHING
    #: What the activity page says to the user about an event; without it, what the event means.
    sentences: ClassVar[Mapping[str, str]] = _NOTHING
    #: The messages that the page after a redirect shows once, by the name in `Answer.flash`.
    flashes: ClassVar[Mapping[str, str]] = _NOTHING
    Settings: ClassVar[type[Section]] = Section
    pages: ClassVar[Pages]
    commands: ClassVar[Sequence[click.Command]] = ()
    #: Its events that the user is notified of, and the kind of the notice for each.
    notices: ClassVar[Mapping[str, str]] = _NOTHING
    #: Its fields of users who are imported or exported.
    user_fields: ClassVar[Sequence[UserField]] = ()
    #: The purposes of the one-time links it sends.
    links: ClassVar[Sequence[Purpose]] = ()
    #: Its cookies, and the seconds for which a browser keeps each. Each holds a token that scripts
    #: cannot read: `Answer(cookies=…)` sets them, `Visitor.cookies` has what a browser sends.
    cookies: ClassVar[Mapping[str, int]] = MappingProxyType({})
    #: Its checks for the check-up; each looks at the open feature. Their codes are its own.
    checks: ClassVar[Sequence[Check[Any]]] = ()
    #: A folder of translations, with `<code>/LC_MESSAGES/bienvenue.mo` in it.
    catalogue: ClassVar[Traversable | None] = None
    #: Its entries in the account menu.
    menu: ClassVar[Sequence[MenuEntry]] = ()
    #: A folder of templates of pages and notices, in the shape of ours: `bienvenue/<name>/` and
    #: `bienvenue/mail/`. Those of the service come first.
    templates: ClassVar[Path | None] = None
    #: A folder of its own migrations, `0001_<name>.py` and so on; only a feature of an application
    #: has one. They run after those of the service, and count in a table of their own.
    migrations: ClassVar[Path | None] = None

    def __init__(self, registry: Registry, db: DB, settings: S) -> None:
        """Open the feature for an Auth, on its database, with its section of the settings."""
        self._registry = registry
        self._db = db
        self.settings = settings

    @property
    def registry(self) -> Registry:
        """The registry of the service that this feature is open in."""
        return self._registry

    @classmethod
    def current(cls) -> Self:
        """Return this feature of the service that answers the request. Raises LookupError."""
        return current_registry.get().use(cls)

    @classmethod
    def needed(cls) -> dict[str, type[Any]]:
        """Return the features that this one calls, by the name it has for each."""
        return {name: each.kind for name, each in vars(cls).items() if isinstance(each, needs)}

    @no_op
    def identifiers(self) -> Sequence[Identifier]:
        """Return the ways to know who sends a request that this feature adds, in order."""
        return ()

    @no_op
    def required_factors(self, authentication: Authentication) -> Sequence[Factor]:
        """Return the factors that a sign-in lacks of this feature before it becomes a session."""
        return ()

    @no_op
    def on_event(self, event: Event) -> None:
        """React to an event in its transaction; an exception rolls the transaction back."""

    @no_op
    def on_events(self, events: Sequence[Event]) -> None:
        """Handle many events at once, for a feature where one by one takes too long."""
        for event in events:
            self.on_event(event)

    @no_op
    def after_commit(self, event: Event) -> None:
        """React to an event after its commit; an exception is logged and changes no response."""

    @no_op
    def revoke(
        self,
        caller: Caller,
        user_id: int,
        reason: Reason,
        keep_session: bytes | None = None,
        /,
    ) -> None:
        """End what this feature holds for a changed account, in the open transaction."""

    @no_op
    def sign_in_refusal(self, user: User) -> Refusal | None:
        """Return the refusal of an account that lets no one in; None when it is not shut."""
        return None

    @no_op
    def newcomer(self, caller: Caller, email: str, password: str) -> User | None:
        """Return the account of a user whom another system knows, made just now; None for none.

        It is asked when a sign-in names an email without an account, after the limits.
        """
        return None

    @no_op
    def pause(self, since: float) -> None:
        """Wait before a sign-in is refused, so that its time says nothing about the account.

        `since` is the `time.monotonic()` at which the password was compared.
        """

    @no_op
    def context(self) -> Mapping[str, Any]:
        """Return what every template may show, by name."""
        return {}

    @no_op
    def export(self, user_id: int) -> Mapping[str, Any]:
        """Return all data of a user in this feature, ready for JSON, without secrets.

        A list that nothing bounds is an iterator, which reads a part of it at a time.
        """
        return {}

    @no_op
    def import_users(self, users: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Store this feature's fields of new accounts, in the transaction that creates them.

        Each user is the account's id and the values of its line by field, as their readers
        returned them; an empty field is absent.
        """

    @no_op
    def export_users(self, user_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """Return this feature's fields of some accounts by id, as its readers return them."""
        return {}

    @no_op
    def work(self) -> None:
        """Do background work, such as sending emails; the worker calls it every few seconds."""

    @no_op
    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` rows that expired before `now`, in seconds; return how many."""
        return 0
