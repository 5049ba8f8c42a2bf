"""former_system: the system that users come from is asked at sign-in while both run.

When no account has an email, a function of the operator is asked whether the former system takes
this email and password. At its first yes the account becomes one of ours, with a hash of our own,
and the function is not asked about it again. It is asked until a day that the operator sets, for a
bounded time, by a bounded number at once and in a minute, and after our own limits: no one can use
the service to guess passwords of the former system faster than here.
"""

import logging
import pkgutil
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, cast

from pydantic import AfterValidator, Field
from sqlalchemy.exc import IntegrityError, NoResultFound

from bienvenue import clock
from bienvenue.authentication import Caller
from bienvenue.client_ip import network_of
from bienvenue.db import DB, retried
from bienvenue.errors import Refusal
from bienvenue.feature import Event, Feature, needs
from bienvenue.features.import_export import ImportExport
from bienvenue.features.passwords import Passwords
from bienvenue.features.rate_limits import RateLimits
from bienvenue.hashing import Match
from bienvenue.registry import Registry
from bienvenue.settings import PREFIX, Seconds, Section, SettingsProblem
from bienvenue.user import User

_log = logging.getLogger("bienvenue")

Vouch = Callable[[str, str], object]
"""Takes an email and a password. Returns True, or fields of an import, for a right password."""

_BESIDES = 0.25
"""Seconds that a refused sign-in takes besides the time for an answer, to look up and to write."""

_NAMES = "is the name of a function that can be imported, as shelf.people:check"


def _name(value: str) -> str:
    if not re.fullmatch(r"[\w.]+:[\w.]+", value):
        raise ValueError(_NAMES)
    return value


def _day(value: str) -> str:
    try:
        return str(datetime.strptime(value.strip(), "%Y-%m-%d").replace(tzinfo=UTC).date())
    except ValueError:
        raise ValueError("is a day, as 2027-01-31") from None


class FormerSystemSettings(Section):
    """The function that is asked, and how long, how fast and how often."""

    former_system: Annotated[str, AfterValidator(_name)] | None = Field(
        None, description="The function that asks the former system, as shelf.people:check."
    )
    former_system_until: Annotated[str, AfterValidator(_day)] | None = Field(
        None, description="The day (UTC) from which it is not asked any more, as 2027-01-31."
    )
    former_system_time: Seconds = Field(
        1, le=10, description="How long it has for an answer; every refused sign-in takes as long."
    )
    former_system_at_once: int = Field(
        4, ge=1, le=100, description="Questions that a process asks it at once."
    )
    former_system_rate: int = Field(
        60, ge=1, le=10_000, description="Questions that it is asked in a minute."
    )


class FormerSystem(Feature[FormerSystemSettings]):
    """Asks the former system about users whom only it knows."""

    name = "former_system"
    _passwords = needs(Passwords)
    _rate_limits = needs(RateLimits)
    _import_export = needs(ImportExport)
    Settings = FormerSystemSettings
    events: ClassVar = {
        "account.moved": "A user signed in with the password of the former system; the account is "
        "ours now.",
        "former_system.unanswered": "The former system was not asked, or gave no answer; the "
        "reason is with it.",
    }
    sentences: ClassVar = {
        "account.moved": "Your account was moved here when you signed in.",
    }
    notices: ClassVar = {"account.moved": "account_moved"}

    def __init__(self, registry: Registry, db: DB, settings: FormerSystemSettings) -> None:
        """Open the feature with the function that the settings name. Raises SettingsProblem."""
        super().__init__(registry, db, settings)
        self._vouch: Vouch | None = None
        self._until = 0.0
        self._free = threading.BoundedSemaphore(settings.former_system_at_once)
        if settings.former_system is not None:
            self.ask_with(_named(settings.former_system))

    def ask_with(self, vouch: Vouch) -> None:
        """Let this function answer for the former system.

        It takes a normalised email and the password as typed, and may run in several threads at
        once. It returns False or None for no, True for yes, or for yes a mapping of fields of an
        import (`groups`, `email_verified`, `created_at`, …). Raises SettingsProblem when the
        settings do not say until when it is asked.
        """
        until = self.settings.former_system_until
        if until is None:
            raise SettingsProblem(
                f"{PREFIX}FORMER_SYSTEM_UNTIL: set the day from which the former system is not "
                "asked any more, as 2027-01-31"
            )
        self._vouch = vouch
        self._until = datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp()

    @property
    def is_asked(self) -> bool:
        """Whether the former system is asked today."""
        return self._vouch is not None and clock.now() < self._until

    def newcomer(self, caller: Caller, email: str, password: str) -> User | None:
        """Return the account of a user for whom the former system vouches, made just now.

        Call it for an email without an account, once an attempt was counted, with a place in the
        hash queue. An account that another request made meanwhile is compared with, and stays.
        """
        if not self.is_asked:
            return None
        values = self._asked(caller, email, password)
        if values is None:
            return None
        hashed = self._passwords.hash(caller, password)
        try:
            self._move(caller, {**values, "email": email}, hashed)
        except (Refusal, IntegrityError) as error:
            # Another request made the account, its email is reserved, or a field is another's.
            _log.info("no account was made: %s", type(error).__name__)
        try:
            user = self._db.find_user_by(email=email)
        except NoResultFound:
            return None
        ours = user.hashed_password == hashed
        return user if ours or self._passwords.compare(user, password) is Match.YES else None

    def pause(self, since: float) -> None:
        """Let a refused sign-in take as long as the former system may.

        `since` is the `time.monotonic()` at which the password was compared.
        """
        if self.is_asked:
            took = time.monotonic() - since
            _sleep(max(0.0, self.settings.former_system_time + _BESIDES - took))

    def _asked(self, caller: Caller, email: str, password: str) -> dict[str, Any] | None:
        """Return the fields of a user for whom it vouches; None for no, and without an answer."""
        try:
            return self._answer(caller, email, password)
        except _UnansweredError as error:
            reason = str(error)
        facts, counted = {"reason": reason}, f"former_system {reason}"
        self._registry.publish(
            Event(caller, "former_system.unanswered", facts=facts, counted=counted)
        )
        return None

    def _answer(self, caller: Caller, email: str, password: str) -> dict[str, Any] | None:
        most, network = self.settings.former_system_rate, network_of(caller.address)
        # Half of them to a network, rounded up, so that one attacker leaves some to the others.
        if not self._rate_limits.take("former_system", {"": most, network: (most + 1) // 2}):
            raise _UnansweredError("rate")
        if not self._free.acquire(blocking=False):
            raise _UnansweredError("at once")
        question = _Question(cast("Vouch", self._vouch), email, password, self._free.release)
        if not question.over.wait(self.settings.former_system_time):
            raise _UnansweredError("late")
        if question.failed:
            raise _UnansweredError("failed")
        if question.answer is None or question.answer is False:
            return None
        try:
            return self._import_export.read_fields(_fields(question.answer))
        except ValueError as problem:
            # Not its traceback, which may hold what the former system knows of the user.
            _log.error("the former system vouches for a user, and %s", problem)
            raise _UnansweredError("failed") from None

    @retried
    def _move(self, caller: Caller, values: Mapping[str, Any], hashed: str) -> None:
        with self._db.transaction():
            user_id = self._import_export.import_user(caller, values, hashed)
            self._registry.publish(Event(caller, "account.moved", user_id))


class _UnansweredError(Exception):
    """The former system was not asked, or gave no answer; the text is the reason."""


class _Question:
    """One question, in a thread of its own: what takes too long is not waited for."""

    def __init__(self, vouch: Vouch, email: str, password: str, done: Callable[[], None]) -> None:
        self.answer: object = None
        self.failed = False
        self.over = threading.Event()
        self._vouch, self._done = vouch, done
        # A daemon: no process that stops waits for a system that hangs.
        threading.Thread(
            target=self._ask, args=(email, password), name="former system", daemon=True
        ).start()

    def _ask(self, email: str, password: str) -> None:
        try:
            self.answer = self._vouch(email, password)
        except Exception as error:  # noqa: BLE001 (a function of the operator may raise anything)
            # Its message, and the lines of its traceback, may hold the password.
            _log.warning("the former system gave no answer: %s", type(error).__name__)
            self.failed = True
        finally:
            self._done()
            self.over.set()


def _fields(answer: object) -> Mapping[str, object]:
    if answer is True:
        return {}
    if not isinstance(answer, Mapping):
        raise ValueError("its answer is neither True nor a mapping")  # noqa: TRY004 (as readers do)
    return answer


def _named(name: str) -> Vouch:
    try:
        found = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not callable(found):
        raise SettingsProblem(f"{PREFIX}FORMER_SYSTEM {_NAMES}")
    return cast("Vouch", found)


_sleep = time.sleep
