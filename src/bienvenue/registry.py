"""Registry: who is told of what. It knows no feature by name and stands below them all.

A feature publishes an event, and every feature may act on it, in the same transaction or after its
commit. What only one feature answers is a call to that feature (`needs`), never a broadcast.
"""

import enum
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from bienvenue import key_file
from bienvenue.authentication import Authentication, Caller, Factor
from bienvenue.db import DB
from bienvenue.declared import Declared
from bienvenue.errors import Refusal
from bienvenue.key_ring import KeyRing
from bienvenue.settings import Settings
from bienvenue.tokens import Purpose
from bienvenue.user import User
from bienvenue.user_fields import UserField
from bienvenue.web import cookies

_log = logging.getLogger("bienvenue")

M = TypeVar("M")


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


@dataclass(frozen=True)
class Event:
    """Something that happened, with a dotted name in the past tense: `session.opened`.

    `caller` is who acted. `facts` are values for JSON, none of them secret.
    """

    caller: Caller
    name: str
    user_id: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: The key of what may come in floods, as a refusal does, or what a signed-in user can repeat at
    #: no cost; the audit log has one row a key and minute.
    counted: str | None = None
    #: How often it happened, if it was counted before it was published.
    times: int = 1
    #: The public name of an account that is gone, for signals; no feature stores it.
    user_uid: str | None = None


def no_op(method: M) -> M:
    """Mark a method that does nothing: the registry need not call it."""
    vars(method)["no_op"] = True
    return method


class Member(Protocol):
    """What the registry needs of a feature; `Feature` has it all, and what each does."""

    name: ClassVar[str]
    events: ClassVar[Mapping[str, str]]
    sentences: ClassVar[Mapping[str, str]]
    notices: ClassVar[Mapping[str, str]]
    flashes: ClassVar[Mapping[str, str]]
    cookies: ClassVar[Mapping[str, int]]
    links: ClassVar[Sequence[Purpose]]
    user_fields: ClassVar[Sequence[UserField]]
    menu: ClassVar[Sequence[Any]]
    templates: ClassVar[Path | None]
    migrations: ClassVar[Path | None]
    settings: Any

    def identifiers(self) -> Sequence[Any]:
        """Return the ways to know who sends a request that the feature adds."""

    def required_factors(self, authentication: Authentication) -> Sequence[Factor]:
        """Return the factors that a sign-in still lacks."""

    def on_event(self, event: Event) -> None:
        """Write what an event requires."""

    def on_events(self, events: Sequence[Event]) -> None:
        """Write what many events of one kind require."""

    def after_commit(self, event: Event) -> None:
        """Act on an event that is committed."""

    def revoke(
        self,
        caller: Caller,
        user_id: int,
        reason: Reason,
        keep_session: bytes | None = None,
        /,
    ) -> None:
        """End what the feature holds for an account that changed."""

    def sign_in_refusal(self, user: User) -> Refusal | None:
        """Return why an account lets no one in."""

    def export(self, user_id: int) -> Mapping[str, Any]:
        """Return what the feature stores about a person."""

    def import_users(self, users: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """Store the feature's fields of new accounts."""

    def export_users(self, user_ids: Sequence[int]) -> Mapping[int, Mapping[str, Any]]:
        """Return the feature's fields of some accounts."""

    def newcomer(self, caller: Caller, email: str, password: str) -> User | None:
        """Return the account of a user whom another system knows."""

    def pause(self, since: float) -> None:
        """Wait before a sign-in is refused."""

    def context(self) -> Mapping[str, Any]:
        """Return what every template may show."""

    def work(self) -> None:
        """Do what waits for no request."""

    def sweep(self, now: float, limit: int) -> int:
        """Delete expired rows; return how many."""


class Listener(Protocol):
    """Hears of every event after its commit, once the features did."""

    name: str

    def after_commit(self, event: Event) -> None:
        """Act on an event that is committed."""


class Registry:
    """The features of one service in the order in which they are told, and what they share."""

    def __init__(self, db: DB, settings: Settings) -> None:
        """Begin without a feature."""
        self.db = db
        self.settings = settings
        #: The path under which the application has the pages, for the links in emails.
        self.mount = settings.core.mount
        self.features: list[Member] = []
        #: The fields of users that the application declares, or None.
        self.declared: Declared | None = None
        #: Those that hear of every event and are no features.
        self.listeners: list[Listener] = []
        #: Every event with its meaning, as the features declare them.
        self.events: dict[str, str] = {}
        #: A feature that is added later is known at once.
        self._by_kind: dict[type[Any], Any] = {}
        #: The features that have a method of their own, looked for once.
        self._acting: dict[str, list[Member]] = {}

    @functools.cached_property
    def keys(self) -> KeyRing:
        """The keys of the service, created on first use in the instance folder.

        Raises KeyProblem.
        """
        return key_file.of(self.settings)

    def add(self, feature: Member) -> None:
        """Add a feature behind those that are there; what it needs stands before it.

        Raises ValueError for a cookie whose name the service or another feature has.
        """
        for name in feature.cookies:
            if name in self.cookies or cookies.is_ours(name):
                raise ValueError(f"{feature.name} has a cookie with a name in use: {name!r}")
        self.features.append(feature)
        self._by_kind[type(feature)] = feature
        self._acting.clear()
        self.events |= feature.events

    def _with(self, *methods: str) -> list[Member]:
        """Return the features that do something in one of these methods, in their order."""
        found = self._acting.get(methods[0])
        if found is None:
            found = [each for each in self.features if any(_acts(each, name) for name in methods)]
            self._acting[methods[0]] = found
        return found

    def use(self, kind: type[M]) -> M:
        """Return the feature of a class. Raises LookupError when it is not open (yet)."""
        found = self._by_kind.get(kind)
        if found is None:
            raise LookupError(f"the feature {kind.__name__} is not open, or opens later")
        return found  # type: ignore[no-any-return]  # what stands under a class is of that class

    @property
    def sentences(self) -> dict[str, str]:
        """The sentence for each event: what its feature says to the user, else its meaning."""
        found = dict(self.events)
        for each in self.features:
            found |= each.sentences
        return found

    @property
    def menu(self) -> list[Any]:
        """The entries of the account menu, in order."""
        entries = [entry for each in self.features for entry in each.menu]
        return sorted(entries, key=lambda entry: entry.place)

    @property
    def templates(self) -> list[Path]:
        """The folders of templates that features bring."""
        return [each.templates for each in self.features if each.templates is not None]

    @property
    def migrations(self) -> dict[str, Path]:
        """The folders of migrations that features bring, by feature."""
        return {each.name: each.migrations for each in self.features if each.migrations is not None}

    @property
    def lasting(self) -> set[str]:
        """The purposes of the links that survive `revoke`."""
        return {link.name for each in self.features for link in each.links if link.lasting}

    @property
    def cookies(self) -> dict[str, int]:
        """The cookies that features bring, and the seconds for which a browser keeps each."""
        return {name: kept for each in self.features for name, kept in each.cookies.items()}

    @property
    def identifiers(self) -> list[Any]:
        """The ways to know who sends a request, in the order in which they are asked."""
        return [one for each in self._with("identifiers") for one in each.identifiers()]

    def required_factors(self, authentication: Authentication) -> list[Factor]:
        """Return the factors that a sign-in still lacks before it becomes a session."""
        asked = self._with("required_factors")
        return [due for each in asked for due in each.required_factors(authentication)]

    def mount_of(self, caller: Caller) -> str:
        """Return the path under which the application of a caller has the pages."""
        return self.mount if caller.mount is None else caller.mount

    def sign_in_refusal(self, user: User) -> Refusal | None:
        """Return why an account lets no one in, most specific reason first; None when it does."""
        for each in reversed(self._with("sign_in_refusal")):
            reason = each.sign_in_refusal(user)
            if reason is not None:
                return reason
        return None

    def newcomer(self, caller: Caller, email: str, password: str) -> User | None:
        """Return the account that a feature made of a user whom another system knows, or None."""
        made = (each.newcomer(caller, email, password) for each in self._with("newcomer"))
        return next((user for user in made if user is not None), None)

    def pause(self, since: float) -> None:
        """Let features wait before a sign-in is refused whose password was compared at `since`."""
        for each in self._with("pause"):
            each.pause(since)

    def publish(self, event: Event) -> None:
        """Publish an event once: features write in this transaction, or act after its commit.

        Outside a transaction it gets one of its own. Raises LookupError for an event that no
        feature declares.
        """
        self.publish_all([event])

    def publish_all(self, events: Sequence[Event]) -> None:
        """Publish many events, each as `publish` does. Raises LookupError."""
        for event in events:
            if event.name not in self.events:
                raise LookupError(f"no feature declares the event {event.name}")
        with self.db.transaction() as tx:
            for each in self._with("on_events", "on_event"):
                if _acts(each, "on_events"):
                    each.on_events(events)
                else:
                    for event in events:
                        each.on_event(event)
            for event in events:
                tx.after_commit.append(functools.partial(self._after_commit, event))

    def _after_commit(self, event: Event) -> None:
        everyone: list[Member | Listener] = [*self._with("after_commit"), *self.listeners]
        for each in everyone:
            try:
                each.after_commit(event)
            except Exception:  # noqa: BLE001 (committed and answered; this undoes nothing)
                _log.exception("%s failed after %s", each.name, event.name)

    def revoke(
        self, caller: Caller, user_id: int, reason: Reason, keep_session: bytes | None = None
    ) -> None:
        """Let every feature end what it holds for an account that changed, in this transaction.

        The session of the digest `keep_session` stays.
        """
        with self.db.transaction():
            for each in self._with("revoke"):
                each.revoke(caller, user_id, reason, keep_session)

    def export(self, user_id: int) -> dict[str, Any]:
        """Return everything the features store about a person, as plain values."""
        return {
            name: list(value) if isinstance(value, Iterator) else value
            for name, value in self.exported(user_id)
        }

    def exported(self, user_id: int) -> Iterator[tuple[str, Any]]:
        """Give the same member by member; a list without a bound is an iterator over its items."""
        for each in self.features:
            yield from each.export(user_id).items()

    def context(self) -> dict[str, Any]:
        """Return what the features give to every template; mappings of one name are joined."""
        flashes = {name: text for each in self.features for name, text in each.flashes.items()}
        found: dict[str, Any] = {"menu": self.menu, "flashes": flashes}
        for each in self._with("context"):
            for name, value in each.context().items():
                both = isinstance(value, dict) and isinstance(found.get(name), dict)
                found[name] = found[name] | value if both else value
        return found

    def work(self) -> None:
        """Let every feature do what waits for no request."""
        for each in self.features:
            each.work()

    def sweep(self, now: float, limit: int = 1000) -> int:
        """Delete expired rows, at most `limit` of a feature; return how many."""
        return sum(each.sweep(now, limit) for each in self.features)


def _acts(feature: Member, method: str) -> bool:
    return not getattr(getattr(feature, method), "no_op", False)
