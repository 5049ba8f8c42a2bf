"""passwords: what one may be, proving that one knows it, and changing it.

A password has 15 characters or more, counted in NFC, with no rule about their kinds and no expiry;
it is refused, with the reason, when the whole of it stands on the offline list of common and
breached passwords or is made of the account's own words (NIST SP 800-63B-4 section 3.1.1.2; ASVS
6.2). Signing in checks form and never policy: an imported short password still opens its account.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field
from sqlalchemy import update
from sqlalchemy.exc import NoResultFound

from bienvenue import blocklist, normalize
from bienvenue.client_ip import network_of
from bienvenue.db import DB, retried
from bienvenue.feature import Attempt, Event, Feature, Reason, Refusal
from bienvenue.hash_queue import Busy, HashQueue, RefusalCounts
from bienvenue.hashing import HIGHEST_COST, LOWEST_COST, NO_PASSWORD, Hasher, Match
from bienvenue.settings import Section
from bienvenue.user import User
from bienvenue.web.dispatch import AUTH, NotSignedIn
from bienvenue.web.page import Answer, Form, Pages, Password, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.auth import Auth
    from bienvenue.features.sessions import SignedIn

T = TypeVar("T")

LONGEST = 4096
"""Characters a password may have; a bound on work, far above what anyone types."""


# --- words --------------------------------------------------------------------------------------


class PasswordTooShort(Refusal):
    """It has fewer characters than the policy asks."""

    status = 422
    code = "password_too_short"
    message = "Use at least {least} characters."


class PasswordTooLong(Refusal):
    """It has more characters than can be accepted."""

    status = 422
    code = "password_too_long"
    message = f"Use at most {LONGEST:,} characters."


class PasswordCommon(Refusal):
    """It stands on the list of common and breached passwords."""

    status = 422
    code = "password_common"
    message = (
        "This password is common or was stolen, so it's easy to guess. Choose another one, for "
        "example a few unrelated words."
    )


class PasswordOwnWords(Refusal):
    """It is made of the email or of the service's name."""

    status = 422
    code = "password_own_words"
    message = (
        "This password is made of your email or the name of this service, so it's easy to guess. "
        "Choose another one, for example a few unrelated words."
    )


class WrongCredentials(Refusal):
    """The email has no account, or the password is not its own: nobody learns which."""

    status = 401
    code = "wrong_credentials"
    message = "Wrong email or password."


class WrongOldPassword(Refusal):
    """The old password is not the account's."""

    status = 403
    code = "wrong_old_password"
    message = "Wrong current password."


class AccountDisabled(Refusal):
    """The password is right and an administrator disabled the account."""

    status = 403
    code = "account_disabled"
    message = "This account is disabled. Contact support."


# --- operations ---------------------------------------------------------------------------------


class PasswordSettings(Section):
    """What a password must be and what hashing one costs."""

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


def _threads(settings: PasswordSettings, processes: int) -> int:
    return settings.hash_threads or max(1, (os.cpu_count() or 1) // processes)


@dataclass(frozen=True)
class PasswordMatch:
    """A user whose password was right, as read; `replacement` is a better hash of it, or None."""

    user: User
    replacement: str | None = field(repr=False)


class Passwords(Feature[PasswordSettings]):
    """The operations on passwords."""

    name = "passwords"
    Settings = PasswordSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "password.changed": "A user changed the password with the current one.",
        "password.rehashed": "A sign-in replaced an outdated hash; the password is the same.",
        "password.refused": "A password was wrong, or the account is disabled or not there.",
        "hash_queue.refused": "A sign-in was refused because too many came at once.",
    }
    notices: ClassVar = {"password.changed": "password_changed"}

    def __init__(self, auth: "Auth", db: DB, settings: PasswordSettings) -> None:
        """Open with a hasher of the configured cost."""
        super().__init__(auth, db, settings)
        self._hasher = Hasher(settings.bcrypt_cost)
        self._refused = RefusalCounts()
        self._open_gate(1, at_the_edge=False)

    def wait_at_the_edge(self, processes: int) -> None:
        """Share this machine's processors with as many processes like this one.

        Each of them has an edge, where requests wait for their place at the gate.
        """
        self._open_gate(processes, at_the_edge=True)

    def _open_gate(self, processes: int, *, at_the_edge: bool) -> None:
        threads, queue = _threads(self.settings, processes), self.settings.hash_queue
        self.hash_queue = HashQueue(threads, queue, self._refused.add, at_the_edge=at_the_edge)

    @contextmanager
    def _place(self, ip: str) -> Iterator[None]:
        """Hold a place at the gate. Raises Busy."""
        try:
            with self.hash_queue.place(network_of(ip)):
                yield
        except Busy:
            # Where the edge is, this hardly happens, and the work of the process writes it down.
            self.work()
            raise

    def work(self) -> None:
        """Write down who found no place since the last time, a row for each network and minute."""
        left = self._refused.taken()
        try:
            for network in list(left):
                facts, counted = {"policy": "hash_queue", "ip": network}, f"hash_queue {network}"
                self._auth.publish(
                    Event("hash_queue.refused", facts=facts, counted=counted, times=left[network])
                )
                del left[network]
        finally:
            # What the database could not take now waits for the next time.
            for network, times in left.items():
                self._refused.add(network, times)

    def hash(self, password: str, ip: str = "") -> str:
        """Give the hash to store. Raises Busy when too many are waiting for one."""
        with self._place(ip):
            return self.hash_queue.run(self._hasher.hash, password).decode()

    def check_policy(self, password: str, own: Iterable[str], field: str = "password") -> str:
        """Return the password if an account may have it from now on.

        `own` are words of the account, as its email. Raises MalformedText, PasswordTooShort,
        PasswordTooLong, PasswordCommon or PasswordOwnWords.
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
        """Return the password if it could be one. Raises MalformedText or PasswordTooLong."""
        if len(password) > LONGEST:
            raise PasswordTooLong(field)
        return normalize.text(password, field)

    def _house_words(self) -> list[str]:
        settings = self._auth.settings
        return [settings.core.service_name, str(urlsplit(settings.base_url).hostname)]

    def prove(
        self, email: str, password: str, ip: str = "", device: str | None = None
    ) -> PasswordMatch:
        """Return the user whose password this is; `device` is the secret of a known browser.

        Costs and says the same whether the password is wrong or there is no such account. Raises
        MalformedEmail, MalformedText, PasswordTooLong, WrongCredentials, and AccountDisabled once
        the password is right.
        """
        return self.admit(email, password, lambda proven: proven, ip, device)

    def admit(
        self,
        email: str,
        password: str,
        then: Callable[[PasswordMatch], T],
        ip: str,
        device: str | None,
    ) -> T:
        """Do what `prove` does, and return what `then` gives for the user.

        What it writes is committed together with the success of the attempt; it may run again.
        """
        email = normalize.email(email)
        self.check_form(password)
        attempt = Attempt("sign_in", email, ip, self._auth.known_devices.knows(email, device))
        self._auth.rate_limits.check(attempt)
        with self._place(ip):
            self._auth.rate_limits.reserve(attempt)
            user = self._find(email)
            match = self._compare(user, password)
            if user is None or match is Match.NO:
                self._auth.publish(Event("password.refused", user.id if user else None, {"ip": ip}))
                raise WrongCredentials
            if user.disabled_at is not None:
                refused = Event("password.refused", user.id, {"ip": ip})
                self._released(attempt, lambda: self._auth.publish(refused))
                raise self._auth.account_closure.closing(user.id) or AccountDisabled
            better = self.hash(password, ip) if match is Match.OUTDATED else None
            return self._released(attempt, lambda: then(PasswordMatch(user, better)))

    @retried
    def _released(self, attempt: Attempt, then: Callable[[], T]) -> T:
        with self._db.transaction():
            given = then()
            # Last, as others of this network wait from here on.
            self._auth.rate_limits.release(attempt)
        return given

    def _find(self, email: str) -> User | None:
        try:
            return self._db.find_user_by(email=email)
        except NoResultFound:
            return None

    def _compare(self, user: User | None, password: str) -> Match:
        if user is None or user.hashed_password == NO_PASSWORD:
            self.hash_queue.run(self._hasher.pretend, password)
            return Match.NO
        return self.hash_queue.run(self._hasher.verify, password, user.hashed_password)

    def fits(self, attempt: Attempt, password: str, hashed: str) -> bool:
        """Tell whether a password is that of a hash that is no account's yet.

        The attempt counts as failed until it is settled.
        """
        self._auth.rate_limits.check(attempt)
        with self._place(attempt.ip):
            self._auth.rate_limits.reserve(attempt)
            return self.hash_queue.run(self._hasher.verify, password, hashed) is not Match.NO

    def change(self, me: "SignedIn", old: str, new: str, device: str | None = None) -> str:
        """Replace my password, end all my other sessions, and return this one's new secret.

        The browser that holds the secret `device` stays known; every other one is forgotten.

        Raises what `check_policy` does, WrongOldPassword, and NotSignedIn when the account or the
        session changed meanwhile.
        """
        self.check_form(old, "old_password")
        try:
            user = self._db.find_user_by(id=me.user_id)
        except NoResultFound:
            raise NotSignedIn from None
        attempt = Attempt("change_password", user.email, me.ip, known=True)
        self._auth.rate_limits.check(attempt)
        self.check_policy(new, [user.email], "new_password")
        with self._place(me.ip):
            self._auth.rate_limits.reserve(attempt)
            if self._compare(user, old) is Match.NO:
                facts = {"session": me.session_uid}
                self._auth.publish(Event("password.refused", user.id, facts))
                raise WrongOldPassword("old_password")
            self._auth.rate_limits.release(attempt)
            hashed = self.hash(new, me.ip)
        known = self._auth.known_devices.knows(user.email, device)
        return self._store(me, user, hashed, device if known else None)

    @retried
    def _store(self, me: "SignedIn", user: User, hashed: str, device: str | None) -> str:
        with self._db.transaction() as tx:
            # The old hash is part of the condition: of two changes at once, one wins.
            changed = tx.change(
                update(User)
                .where(User.id == user.id, User.hashed_password == user.hashed_password)
                .values(hashed_password=hashed)
            )
            if changed != 1:
                raise NotSignedIn
            secret = self._auth.sessions.rotate(me)
            self._auth.revoke(
                user.id, Reason.PASSWORD_CHANGED, keep_session=self._auth.sessions.digest(secret)
            )
            if device is not None:
                self._auth.known_devices.remember(user.id, device)
            self._auth.publish(Event("password.changed", user.id, {"session": me.session_uid}))
        return secret


# --- pages --------------------------------------------------------------------------------------

page = Passwords.pages


class PasswordChange(Form):
    """What changing a password takes."""

    old_password: Password
    new_password: Password


class PasswordChanged(Reply):
    """What it gives."""

    email: str
    message: Literal["Password updated"] = "Password updated"


class PasswordForm(Reply):
    """Where a password is changed."""

    action: Literal["PUT /password"] = "PUT /password"


@page("GET /password", returns={200: PasswordForm})
def password_page() -> Answer:
    """The page of changing one's password."""
    return Answer(PasswordForm(), template="passwords/change.html")


@page(
    "PUT /password",
    accepts=PasswordChange,
    returns={200: PasswordChanged},
    errors=(
        PasswordTooShort,
        PasswordTooLong,
        PasswordCommon,
        PasswordOwnWords,
        WrongOldPassword,
    ),
    form_template="passwords/change.html",
    hashes=True,
)
def change_password(form: PasswordChange, me: "SignedIn", visitor: Visitor) -> Answer:
    """Replace one's password with the old one; every other session ends."""
    secret = AUTH.passwords.change(me, form.old_password, form.new_password, visitor.device)
    return Answer(
        PasswordChanged(email=me.email),
        redirect_to="/profile",
        session=secret,
        flash="password-changed",
    )
