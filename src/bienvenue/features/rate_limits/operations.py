"""The operations on rate limits."""

import functools
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from bienvenue import clock, normalize, purposes
from bienvenue.authentication import Caller
from bienvenue.client_ip import UNKNOWN, address_of, networks_of
from bienvenue.db import DB, retried
from bienvenue.feature import Attempt, Event, Feature, needs
from bienvenue.features.accounts import Accounts
from bienvenue.features.rate_limits.errors import NoEmailOrIP, PasswordLocked, TooManyAttempts
from bienvenue.features.rate_limits.models import RateLimitSettings
from bienvenue.features.rate_limits.store import (
    ALL,
    FEW_KEPT,
    FORGOTTEN_AFTER,
    LONGEST_WAIT,
    UNKNOWN_DEVICES,
    Count,
    DatabaseStore,
    OverError,
    Rule,
    Store,
)
from bienvenue.registry import Registry

_ATTEMPTS = 1000
"""Attempts whose rules a process keeps for the requests that are under way."""

_RESTING, _PART = 50_000, 500
"""Resting counts that one round looks at, and how many one transaction deletes."""

WIDER = {56: 4, 48: 16}
"""How many times the failures of a /64 the wider networks of IPv6 have: a /56 is a usual assignment
to a home, a /48 to a site (RFC 6177).
"""


class RateLimits(Feature[RateLimitSettings]):
    """The operations on rate limits."""

    name = "rate_limits"
    _accounts = needs(Accounts)
    Settings = RateLimitSettings
    events: ClassVar = {
        "rate_limit.reached": "A sign-in was refused after too many failures.",
        "account.unlocked": "An administrator cleared the failures of an account.",
    }
    sentences: ClassVar = {
        "account.unlocked": "An administrator unlocked your account.",
    }

    def __init__(self, registry: Registry, db: DB, settings: RateLimitSettings) -> None:
        """Open the feature with its counts in the database."""
        super().__init__(registry, db, settings)
        self.store: Store = DatabaseStore(db)
        self._looked_at = 0.0
        # An attempt is checked, reserved and settled by the same keys, each a MAC.
        self._rules = functools.lru_cache(_ATTEMPTS)(self._rules_of)

    def counts_of(self, attempt: Attempt) -> dict[bytes, Count]:
        """Return the counts of an attempt by their keys."""
        rules = self._rules(attempt)
        return {count.key: count for count in self.store.find([rule.key for rule in rules])}

    def check(
        self, caller: Caller, attempt: Attempt, counts: Mapping[bytes, Count] | None = None
    ) -> None:
        """Raise TooManyAttempts or PasswordLocked if `reserve` would; count nothing.

        `counts` is what `counts_of` returned, where the caller has it already.
        """
        found = self.counts_of(attempt) if counts is None else counts
        for rule in self._rules(attempt):
            if rule.key in found:
                self._refuse_over(caller, attempt, rule, found[rule.key])

    def _refuse_over(self, caller: Caller, attempt: Attempt, rule: Rule, count: Count) -> None:
        now = clock.now()
        if rule.waits_from is None:
            if count.failures >= ALL or (
                not attempt.known and count.unknown_device_failures >= UNKNOWN_DEVICES
            ):
                self._registry.publish(_reached(caller, rule))
                raise PasswordLocked(rule.policy, LONGEST_WAIT)
        elif now < count.blocked_until <= now + LONGEST_WAIT:
            self._registry.publish(_reached(caller, rule))
            raise TooManyAttempts(rule.policy, count.blocked_until - now)

    @retried
    def reserve(self, caller: Caller, attempt: Attempt) -> None:
        """Count a failure before the password is verified.

        Raises TooManyAttempts or PasswordLocked, and then counts nothing.
        """
        with self.reserved(caller, attempt):
            pass

    @contextmanager
    def reserved(self, caller: Caller, attempt: Attempt) -> Iterator[None]:
        """Count a failure as `reserve` does; the block runs in the transaction that counts it.

        Raises TooManyAttempts or PasswordLocked, and then counts nothing.
        """
        try:
            with self._db.transaction():
                self.store.reserve(self._rules(attempt), attempt.known)
                yield
        except OverError as over:
            # Another request took the last place since `check`.
            self.check(caller, attempt)
            raise TooManyAttempts(over.rule.policy, 1) from None

    def take(self, kind: str, shares: Mapping[str, int]) -> bool:
        """Count one use of what each minute has a number of; return False when there is no more.

        `shares` are how many uses each name has, for example a network. Beyond them a use waits for
        1, 2, 4 … seconds after the one before.
        """
        minute = int(clock.now() // 60)
        rules = [
            # Each in a statement of its own; what drains of it in a minute is nothing.
            Rule(self._key(kind, f"{minute} {name}"), kind, kind, most, drains=True)
            for name, most in shares.items()
        ]
        try:
            self.store.reserve(rules, known=False)
        except OverError:
            return False
        return True

    def settle(self, attempt: Attempt | None) -> None:
        """Release the reservation of a right password and clear the account's failures.

        Earlier failures of the network stay, and so does a lock on unknown devices. Call it last in
        a transaction: other attempts of this network wait from here until the commit.
        """
        if attempt is not None:
            self.store.release(self._rules(attempt))

    def _rules_of(self, attempt: Attempt) -> list[Rule]:
        """Return the rules of an attempt, always in the same order, which avoids deadlocks."""
        kind = "known" if attempt.known else "unknown"
        rules = [
            Rule(self._key("consecutive", attempt.email), "consecutive", "account", None),
            Rule(self._key(kind, attempt.email), kind, "account", self.settings.rate_limit_account),
        ]
        # A known device has counts of its own, so that the neighbours of the owner behind one ip
        # cannot lock the owner out. Code of this process has no network.
        if attempt.ip is not None and not attempt.known:
            rules += map(self._of_network, networks_of(attempt.ip, WIDER))
        return rules

    def _of_network(self, network: str) -> Rule:
        length = int(network.rpartition("/")[2]) if "/" in network else 0
        waits_from = self.settings.rate_limit_network * WIDER.get(length, 1)
        return Rule(self._key("network", network), network, "network", waits_from, drains=True)

    def _key(self, kind: str, name: str) -> bytes:
        return self._registry.keys.lasting_mac(purposes.rate_limit(kind), name.encode())

    def find(self, name: str) -> list[Count]:
        """Return the counts of an email, an ip or a network. Raises MalformedEmail, NoEmailOrIP."""
        return self.store.find(self._keys_of(name))

    def busy(self) -> list[Count]:
        """Return the hundred largest counts; those of accounts show their kind and no email."""
        return self.store.busy(100)

    def clear(self, name: str) -> int:
        """Delete the counts of an email, an ip or a network; return how many.

        Raises MalformedEmail and NoEmailOrIP.
        """
        return self.store.clear(self._keys_of(name))

    def move(self, old: str, new: str) -> None:
        """Move the failures of an account from its old email to its new one.

        A change of the email thus neither removes a lock nor takes over the lock of the new email.
        """
        self.store.move(dict(zip(self._keys_of(old), self._keys_of(new), strict=True)))

    def _keys_of(self, name: str) -> list[bytes]:
        if "@" in name:
            email = normalize.email(name)
            return [self._key(kind, email) for kind in ("consecutive", "known", "unknown")]
        if name == UNKNOWN:
            networks = [name]
        elif "/" in name:
            try:
                networks = [str(ipaddress.ip_network(name))]
            except ValueError:
                raise NoEmailOrIP from None
        elif address_of(name) is None:
            raise NoEmailOrIP
        else:
            networks = networks_of(name, WIDER)
        return [self._key("network", network) for network in networks]

    @retried
    def unlock(self, caller: Caller, name: str) -> str:
        """Clear the failures and the lock of an account; return its email. Raises NoSuchUser."""
        with self._db.transaction():
            user = self._accounts.find(name)
            if self.clear(user.email):
                self._registry.publish(Event(caller, "account.unlocked", user.id))
        return user.email

    def sweep(self, now: float, limit: int) -> int:
        """Delete expired counts; return how many.

        Consecutive ones expire 90 days after the last failure if they are small, or if no account
        has their email any more.
        """
        swept = self.store.sweep(now, limit, self.settings.rate_limit_account)
        return swept or self._forget_unowned(now)

    def _forget_unowned(self, now: float) -> int:
        """Delete resting counts of emails without an account, once a day; return how many.

        A count names its email by a MAC alone, so those of all accounts are computed.
        """
        if 0 <= now - self._looked_at < FORGOTTEN_AFTER:
            return 0
        self._looked_at = now
        few = self.settings.rate_limit_account
        resting = set(self.store.resting(now - FEW_KEPT, few, _RESTING))
        if resting:
            resting -= {self._key("consecutive", email) for email in self._accounts.emails()}
        gone = sorted(resting)
        parts = [gone[first : first + _PART] for first in range(0, len(gone), _PART)]
        return sum(self.store.clear(part) for part in parts)


def _reached(caller: Caller, rule: Rule) -> Event:
    key = rule.key.hex()
    return Event(
        caller,
        "rate_limit.reached",
        facts={"policy": rule.policy, "key": key[:16]},
        counted=key,
    )
