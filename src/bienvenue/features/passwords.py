"""passwords: the policy, the verification at sign-in, and the change of a password.

A password has at least 15 characters, counted in NFC, with no composition rules and no expiry. It
is refused, with the reason, when the whole of it is on the offline list of common and breached
passwords or is made of the account's own words (NIST SP 800-63B-4 section 3.1.1.2; ASVS 6.2).
Sign-in checks the form and never the policy, so an imported short password still works.
"""

import os
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from sqlalchemy import BigInteger, String, case, delete, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import blocklist, clock, foreign_hashes, normalize, user_fields
from bienvenue.authentication import WORKER, Attempt, Authentication, Caller
from bienvenue.client_ip import network_of
from bienvenue.db import DB, retried, upsert
from bienvenue.feature import Event, Feature, Refusal, needs
from bienvenue.features.known_devices import KnownDevices
from bienvenue.features.rate_limits import RateLimits
from bienvenue.foreign_hashes import StoredHash
from bienvenue.hash_queue import Busy, HashQueue, RefusalCounts
from bienvenue.hashing import HIGHEST_COST, LOWEST_COST, NO_PASSWORD, Hasher, Match
from bienvenue.registry import Registry
from bienvenue.settings import Section
from bienvenue.user import Base, User, table_of
from bienvenue.user_fields import UserField

T = TypeVar("T")

LONGEST = 4096
"""Most characters of a password: a bound on work, far above what people type."""

LOOKED_FOR = 3600
"""Seconds after which it is looked again whether any hash of another system is left."""


# --- the table ----------------------------------------------------------------------------------


class ForeignHashCost(Base):
    """What the dearest hash of a family of other systems costs that an account may still have."""

    __tablename__ = "foreign_hash_costs"

    family: Mapped[str] = mapped_column(String(32), primary_key=True)
    units: Mapped[int] = mapped_column(BigInteger)
    #: When one was brought in last, or looked for.
    noted_at: Mapped[float]


_costs = table_of(ForeignHashCost)


# --- words --------------------------------------------------------------------------------------


class PasswordTooShort(Refusal):
    """The password has fewer characters than the policy requires."""

    status = 422
    code = "password_too_short"
    message = "Use at least {least} characters."


class PasswordTooLong(Refusal):
    """The password has more than LONGEST characters."""

    status = 422
    code = "password_too_long"
    message = f"Use at most {LONGEST:,} characters."


class PasswordCommon(Refusal):
    """The password is on the list of common and breached passwords."""

    status = 422
    code = "password_common"
    message = (
        "This password is common or was stolen, so it's easy to guess. Choose another one, for "
        "example a few unrelated words."
    )


class PasswordOwnWords(Refusal):
    """The password is made of the email or of the service's name."""

    status = 422
    code = "password_own_words"
    message = (
        "This password is made of your email or the name of this service, so it's easy to guess. "
        "Choose another one, for example a few unrelated words."
    )


class WrongCredentials(Refusal):
    """The email has no account, or the password is wrong; the answer doesn't tell which."""

    status = 401
    code = "wrong_credentials"
    message = "Wrong email or password."


# --- operations ---------------------------------------------------------------------------------


class PasswordSettings(Section):
    """The password policy and the cost of a hash."""

    password_min_length: int = Field(
        15, ge=8, le=64, description="Characters a password has at least."
    )
    bcrypt_cost: int = Field(
        12,
        ge=LOWEST_COST,
        le=HIGHEST_COST,
        description="bcrypt does 2**cost rounds: 12 is about a quarter of a second.",
    )
    hash_threads: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Passwords hashed at once by a process; by default the machine's processors "
        "shared among the processes.",
    )
    hash_queue: int = Field(
        4, ge=1, le=1000, description="Places for those who wait for one of these threads."
    )
    flask_security_password_salt: SecretStr | None = Field(
        None,
        description="SECURITY_PASSWORD_SALT of the Flask-Security application whose users "
        "were imported.",
    )


def _password_text(value: object) -> str:
    if value not in foreign_hashes.TEXTS:
        raise ValueError(f"is none of {', '.join(foreign_hashes.TEXTS)}")
    return str(value)


def _keys(settings: PasswordSettings) -> dict[str, bytes]:
    salt = settings.flask_security_password_salt
    return {} if salt is None else {"flask_security": salt.get_secret_value().encode()}


def _exported(stored: str) -> dict[str, Any]:
    """Return the fields of what `hashed_password` stores."""
    if stored == NO_PASSWORD:
        return {"password_hash": None, "password_text": None}
    text, hashed = foreign_hashes.split(stored)
    return {"password_hash": hashed, "password_text": text}


def _threads(settings: PasswordSettings, processes: int) -> int:
    return settings.hash_threads or max(1, (os.cpu_count() or 1) // processes)


class Passwords(Feature[PasswordSettings]):
    """The operations on passwords."""

    name = "passwords"
    _known_devices = needs(KnownDevices)
    _rate_limits = needs(RateLimits)
    Settings = PasswordSettings
    events: ClassVar = {
        "password.rehashed": "A sign-in replaced an outdated hash; the password is the same.",
        "password.refused": "A password was wrong, or the account is disabled or not there.",
        "hash_queue.refused": "A sign-in was refused because too many came at once.",
    }
    sentences: ClassVar = {
        "password.refused": "A sign-in failed.",
        "password.rehashed": "Your password is stored in a newer form. The password is the same.",
    }
    user_fields: ClassVar = (
        UserField(
            "password_hash", "the hash of the password, as a system stores it", user_fields.text
        ),
        UserField("password_text", "how the other system takes a password", _password_text),
    )

    def __init__(self, registry: Registry, db: DB, settings: PasswordSettings) -> None:
        """Open the feature with a hasher of the configured cost."""
        super().__init__(registry, db, settings)
        self._hasher = Hasher(settings.bcrypt_cost, _keys(settings))
        self._refused = RefusalCounts()
        self._open_hash_queue(1, at_the_edge=False)

    def context(self) -> dict[str, Any]:
        """Return the length that forms ask for."""
        return {"password_min_length": self.settings.password_min_length}

    def wait_at_the_edge(self, processes: int) -> None:
        """Share this machine's processors among `processes` processes.

        The edge of each process lets requests wait until the hash queue has a place.
        """
        self._open_hash_queue(processes, at_the_edge=True)

    def _open_hash_queue(self, processes: int, *, at_the_edge: bool) -> None:
        threads, queue = _threads(self.settings, processes), self.settings.hash_queue
        self.hash_queue = HashQueue(threads, queue, self._refused.add, at_the_edge=at_the_edge)

    @contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        """Hold a place in the hash queue. Raises Busy."""
        try:
            with self.hash_queue.place(network_of(caller.address)):
                yield
        except Busy:
            # Behind the edge this is rare, and the worker of the process publishes it later.
            self.work()
            raise

    def work(self) -> None:
        """Publish the refusals of the hash queue since the last call, one event a network."""
        left = self._refused.taken()
        try:
            for network in list(left):
                facts, counted = {"policy": "hash_queue", "ip": network}, f"hash_queue {network}"
                self._registry.publish(
                    Event(
                        WORKER,
                        "hash_queue.refused",
                        facts=facts,
                        counted=counted,
                        times=left[network],
                    )
                )
                del left[network]
        finally:
            # Counts that the database could not take wait for the next call.
            for network, times in left.items():
                self._refused.add(network, times)

    def hash(self, caller: Caller, password: str) -> str:
        """Return the hash to store. Raises Busy when the hash queue is full."""
        with self.place(caller):
            return self.hash_queue.run(self._hasher.hash, password).decode()

    def check_policy(self, password: str, own: Iterable[str], field: str = "password") -> str:
        """Return the password if the policy allows it as a new one (ASVS 6.2.1 to 6.2.12).

        `own` are the account's words, such as its email; `field` is the form field that a refusal
        names. Raises MalformedText, PasswordTooShort, PasswordTooLong, PasswordCommon or
        PasswordOwnWords.
        """
        self.check_form(password, field)
        least = self.settings.password_min_length
        if len(unicodedata.normalize("NFC", password)) < least:
            raise PasswordTooShort(field, least=least)
        if not password.strip() or blocklist.contains(password):
            raise PasswordCommon(field)
        if blocklist.made_of_own_words(password, [*own, *self._house_words()]):
            raise PasswordOwnWords(field)
        return password

    @staticmethod
    def check_form(password: str, field: str = "password") -> str:
        """Return the password if it is well-formed. Raises MalformedText or PasswordTooLong."""
        if len(password) > LONGEST:
            raise PasswordTooLong(field)
        return normalize.text(password, field)

    def _house_words(self) -> list[str]:
        settings = self._registry.settings
        return [settings.core.service_name, str(urlsplit(settings.base_url).hostname)]

    def verify(self, caller: Caller, email: str, password: str) -> User:
        """Return the user whose password this is, and open nothing.

        Raises as `authenticate` does.
        """
        authentication = self.authenticate(caller, email, password)
        self._rate_limits.settle(authentication.attempt)
        return authentication.user

    def authenticate(self, caller: Caller, email: str, password: str) -> Authentication:
        """Verify a password; the attempt counts as a failure until it is settled.

        A wrong password and an unknown email take the same time and get the same answer (ASVS
        6.3.8). Raises MalformedEmail, MalformedText, PasswordTooLong, TooManyAttempts,
        PasswordLocked, Busy, WrongCredentials, and, only if the password is right, AccountClosed
        or AccountDisabled.
        """
        email = normalize.email(email)
        self.check_form(password)
        with self._db.snapshot():
            known = self._known_devices.knows(email, caller.device)
            attempt = Attempt("sign_in", email, caller.ip, known)
            counts = self._rate_limits.counts_of(attempt)
        self._rate_limits.check(caller, attempt, counts)
        with self.place(caller):
            user, dearest = self._reserve(caller, attempt)
            match = self.compare(user, password, dearest)
            compared_at = time.monotonic()
            if user is None:
                # Another system may know them, and vouch for what is an account of ours then.
                user = self._registry.newcomer(caller, email, password)
                match = Match.NO if user is None else Match.YES
            refused = Event(caller, "password.refused", user.id if user else None)
            if user is not None and match is not Match.NO:
                shut = self._registry.sign_in_refusal(user)
                if shut is not None:
                    self._refuse_shut(refused, attempt)
                    raise shut
                better = self.hash(caller, password) if match is Match.OUTDATED else None
                return Authentication(user, ("pwd",), attempt=attempt, rehashed=better)
            self._registry.publish(refused)
        self._registry.pause(compared_at)
        raise WrongCredentials

    @retried
    def _refuse_shut(self, refused: Event, attempt: Attempt) -> None:
        with self._db.transaction():
            self._registry.publish(refused)
            self._rate_limits.settle(attempt)

    @retried
    def _reserve(self, caller: Caller, attempt: Attempt) -> tuple[User | None, dict[str, int]]:
        """Count a failure, and read the account and what every failure costs."""
        with self._rate_limits.reserved(caller, attempt):
            return self._find(attempt.email), self.dearest()

    def _find(self, email: str) -> User | None:
        try:
            return self._db.find_user_by(email=email)
        except NoResultFound:
            return None

    def compare(
        self, user: User | None, password: str, dearest: Mapping[str, int] | None = None
    ) -> Match:
        """Compare a password with that of an account, at the same cost for no account (ASVS 6.3.8).

        `dearest` is what `dearest()` returned, where the caller has it already. Call it while
        holding a place (`place`).
        """
        dearest = self.dearest() if dearest is None else dearest
        if user is None or user.hashed_password == NO_PASSWORD:
            self.hash_queue.run(self._hasher.pretend, password, dearest)
            return Match.NO
        return self.hash_queue.run(self._hasher.verify, password, user.hashed_password, dearest)

    # --- hashes of other systems ----------------------------------------------------------------

    def read_imported(self, hashed: str, text: str) -> tuple[str, StoredHash]:
        """Give what to store for a hash of another system, and what it is; computes nothing.

        `text` is one of `foreign_hashes.TEXTS`: how that system takes a password. Raises
        UnreadableHash for one that could not be compared with.
        """
        found = foreign_hashes.read(hashed, text, _keys(self.settings))
        mark = "" if text == foreign_hashes.LIKE_OURS else f"{text}:"
        return f"{mark}{hashed}", found

    @retried
    def note_costs(self, hashes: Iterable[StoredHash]) -> None:
        """Let every failure cost what these would, in the transaction that stores them."""
        now, most = clock.now(), dict[str, int]()
        for each in hashes:
            if each.family is not None:
                most[each.family] = max(each.units, most.get(each.family, 0))
        written = upsert(_costs, self._db.on_postgresql)
        dearer = case(
            (written.excluded.units > _costs.c.units, written.excluded.units), else_=_costs.c.units
        )
        noted = written.on_conflict_do_update(
            index_elements=[_costs.c.family],
            set_={"units": dearer, "noted_at": written.excluded.noted_at},
        )
        with self._db.transaction() as tx:
            for family, units in sorted(most.items()):
                tx.execute(noted, {"family": family, "units": units, "noted_at": now})

    def dearest(self) -> dict[str, int]:
        """Say what a failure costs besides our own hash: units by family of foreign hashes."""
        with self._db.reading() as tx:
            return {row.family: row.units for row in tx.execute(select(_costs))}

    @retried
    def sweep(self, now: float, _limit: int) -> int:
        """Let a failure cost less once no hash of another system is left; give how many rows."""
        due = _costs.c.noted_at <= now - LOOKED_FOR
        hashed = User.hashed_password
        ours = (hashed == NO_PASSWORD) | hashed.like("$2_$%") | hashed.like("$bcrypt-sha256$v=2%")
        with self._db.transaction() as tx:
            if tx.scalar(select(_costs.c.family).where(due).limit(1)) is None:
                return 0
            if tx.scalar(select(User.id).where(~ours).limit(1)) is None:
                return tx.change(delete(_costs).where(due))
            tx.change(update(_costs).where(due).values(noted_at=now))
        return 0

    def export_users(self, user_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Give each account's hash and how the system that made it takes a password."""
        with self._db.reading() as tx:
            found = tx.execute(
                select(User.id, User.hashed_password).where(User.id.in_(user_ids))
            ).all()
        return {row.id: _exported(row.hashed_password) for row in found}

    def fits(
        self, caller: Caller, attempt: Attempt, password: str, hashes: Iterable[str]
    ) -> str | None:
        """Return which of these hashes, of no account yet, a password matches; None for none.

        The attempt counts as a failure until the caller settles it. Raises TooManyAttempts,
        PasswordLocked and Busy.
        """
        self._rate_limits.check(caller, attempt)
        with self.place(caller):
            self._rate_limits.reserve(caller, attempt)
            dearest = self.dearest()
            for hashed in hashes:
                match = self.hash_queue.run(self._hasher.verify, password, hashed, dearest)
                if match is not Match.NO:
                    return hashed
        return None
