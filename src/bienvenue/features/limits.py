"""limits: how often a password may be guessed, on by default, for accounts and networks.

Every sign-in reserves its failure before it hashes, in one transaction of single statements, so a
thousand guesses at once are admitted exactly as a thousand in a row. Only failures count: a
success gives its own reservation back. Counts live in the database, so they survive a restart and
all processes share them, and an email that has no account is counted like one that has
(NIST SP 800-63B-4 section 3.2.2; ASVS 6.1.1, 6.3.1).

The n-th failure of an account from 10 on makes the next one wait 2**(n-10) seconds, an hour at
most; of a network, from 100 on. The owner's known devices have counts of their own, so a stranger
cannot lock the owner out. A count without a failure for a day is forgotten, but for that of
consecutive failures: at 90 by strangers the password works from known devices only, at 100 in all
nowhere, until it is reset or an administrator unlocks it.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import click
from pydantic import Field
from sqlalchemy import (
    Float,
    Integer,
    LargeBinary,
    String,
    bindparam,
    case,
    delete,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, fields
from bienvenue.db import Transaction, retried, upsert
from bienvenue.feature import Attempt, Event, Feature, Refusal
from bienvenue.networks import network_of
from bienvenue.settings import Section
from bienvenue.user import Base, table_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Row

LONGEST_WAIT = 3600
FORGOTTEN_AFTER = 86400
"""Seconds without a failure after which a count begins anew."""

STRANGERS, ALL = 90, 100
"""Consecutive failures after which the password works from known devices only, and nowhere.

NIST allows 100 in all; strangers stop ten earlier, which leaves the owner's devices those ten.
"""

_FEW_KEPT = 90 * 86400


# --- the table ----------------------------------------------------------------------------------


class Count(Base):
    """The failures of one key. The key is a MAC, so the table names no email that was tried."""

    __tablename__ = "limits"
    __table_args__ = {"sqlite_with_rowid": False}

    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    #: "consecutive", "known", "stranger", or a network as "203.0.113.7/32".
    kind: Mapped[str] = mapped_column(String(50))
    failures: Mapped[int]
    #: Of a consecutive count: how many of them were by strangers.
    strangers: Mapped[int]
    until: Mapped[float]
    last: Mapped[float] = mapped_column(index=True)


_counts = table_of(Count)
_table = _counts.c


# --- words --------------------------------------------------------------------------------------


class TooManyAttempts(Refusal):
    """Too many wrong passwords; `Retry-After` says when the next one may be tried."""

    status = 429
    code = "too_many_attempts"
    message = "Too many wrong passwords were tried. Wait a little and try again."

    def __init__(self, policy: str, wait: float) -> None:
        """Take the name of the rule and the seconds to wait."""
        super().__init__()
        self.retry_after = max(1, int(wait + 0.999))
        self.headers["RateLimit"] = f'"{policy}";r=0;t={self.retry_after}'


class PasswordLocked(TooManyAttempts):
    """So many wrong passwords in a row that this one is not tried here any more."""

    code = "password_locked"
    message = (
        "Too many wrong passwords were tried in a row. Sign in from a device you used before, "
        "or write to whoever runs this service."
    )


# --- operations ---------------------------------------------------------------------------------


class LimitSettings(Section):
    """From which failure on one has to wait."""

    limit_account: int = Field(
        10, ge=1, le=1000, description="Failures of an account after which each next one waits."
    )
    limit_network: int = Field(
        100, ge=1, le=100_000, description="Failures of a network after which each next one waits."
    )


@dataclass(frozen=True)
class _Rule:
    """One key an attempt counts against, and from which failure on the next one waits."""

    key: bytes
    kind: str
    policy: str
    waits_from: int | None


class Limits(Feature[LimitSettings]):
    """The operations on limits."""

    name = "limits"
    Settings = LimitSettings
    events: ClassVar = {
        "limit.reached": "An attempt was refused because of the failures before it.",
        "account.unlocked": "An administrator cleared the failures of an account.",
    }

    def allow(self, attempt: Attempt) -> None:
        """Raise TooManyAttempts or PasswordLocked for what would be refused; count nothing."""
        rules = self._rules(attempt)
        with self._db.reading() as tx:
            found = {row.key: row for row in tx.execute(_FOUND, {"keys": [r.key for r in rules]})}
        for rule in rules:
            if rule.key in found:
                self._refuse_over(rule, found[rule.key], attempt)

    def _refuse_over(self, rule: _Rule, count: "Row[Any]", attempt: Attempt) -> None:
        now = clock.now()
        if rule.waits_from is None:
            if count.failures >= ALL or (not attempt.known and count.strangers >= STRANGERS):
                self._auth.announce(_reached(rule, attempt))
                raise PasswordLocked(rule.policy, LONGEST_WAIT)
        elif count.until > now:
            self._auth.announce(_reached(rule, attempt))
            raise TooManyAttempts(rule.policy, count.until - now)

    @retried
    def reserve(self, attempt: Attempt) -> None:
        """Count a failure before it happened. Raises as `allow` does, having counted nothing."""
        try:
            with self._db.transaction() as tx:
                for rule in self._rules(attempt):
                    self._count(tx, rule, attempt)
        except _OverError as over:
            # Somebody else took the last place between the reading and this.
            self.allow(attempt)
            raise TooManyAttempts(over.rule.policy, 1) from None

    def _count(self, tx: Transaction, rule: _Rule, attempt: Attempt) -> None:
        """Add one failure in one statement. Raises _OverError when the count is over."""
        adding = _adding(self._db.on_postgresql, rule.waits_from is None, attempt.known)
        values = {"the_key": rule.key, "the_kind": rule.kind, "now": clock.now()}
        added = tx.execute(adding, values | {"waits_from": rule.waits_from}).scalar_one_or_none()
        if added is None:
            raise _OverError(rule)

    @retried
    def settle(self, attempt: Attempt) -> None:
        """The password was right: give the reservation back and clear the account's failures.

        Earlier failures of the network stay, and so does a lock against strangers.
        """
        consecutive, account, *networks = self._rules(attempt)
        with self._db.transaction() as tx:
            # In the order of `reserve`: PostgreSQL would have to break two that cross.
            for statement in _CLEARED_BUT_LOCKED:
                tx.execute(statement, {"the_key": consecutive.key})
            tx.execute(_CLEARED, {"the_key": account.key})
            for network in networks:
                for statement in _GIVEN_BACK:
                    tx.execute(statement, {"the_key": network.key})

    def _rules(self, attempt: Attempt) -> list[_Rule]:
        """Name what an attempt counts against, always in the same order, so that none cross."""
        kind = "known" if attempt.known else "stranger"
        rules = [
            _Rule(self._key("consecutive", attempt.email), "consecutive", "account", None),
            _Rule(self._key(kind, attempt.email), kind, "account", self.settings.limit_account),
        ]
        if attempt.ip:
            network = network_of(attempt.ip)
            waits_from = self.settings.limit_network
            rules.append(_Rule(self._key("network", network), network, "network", waits_from))
        return rules

    def _key(self, kind: str, name: str) -> bytes:
        return self._auth.keys.lasting_mac(f"limit {kind}", name.encode())

    def find(self, name: str) -> list[Count]:
        """Give the counts of an email or an ip."""
        with self._db.reading() as tx:
            keys = self._keys_of(name)
            return list(tx.scalars(select(Count).where(_table.key.in_(keys)).order_by(_table.kind)))

    def busy(self) -> list[Count]:
        """Give the hundred keys with most failures; accounts show as what kind they are."""
        with self._db.reading() as tx:
            most = select(Count).order_by(_table.failures.desc(), _table.key).limit(100)
            return list(tx.scalars(most))

    @retried
    def clear(self, name: str) -> int:
        """Forget the counts of an email or an ip; give how many there were."""
        with self._db.transaction() as tx:
            return tx.change(delete(Count).where(_table.key.in_(self._keys_of(name))))

    def _keys_of(self, name: str) -> list[bytes]:
        if "@" in name:
            email = fields.email(name)
            return [self._key(kind, email) for kind in ("consecutive", "known", "stranger")]
        return [self._key("network", network_of(name))]

    @retried
    def unlock(self, name: str) -> str:
        """Forget the failures of a user's account, and its lock. Raises NoSuchUser."""
        with self._db.transaction():
            user = self._auth.accounts.find(name)
            if self.clear(user.email):
                self._auth.announce(Event("account.unlocked", user.id))
        return user.email

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete counts that are forgotten, and after three months those of a few in a row."""
        forgotten = (_table.kind != "consecutive") & (_table.last <= now - FORGOTTEN_AFTER)
        few = (
            (_table.kind == "consecutive")
            & (_table.failures < self.settings.limit_account)
            & (_table.last <= now - _FEW_KEPT)
        )
        with self._db.transaction() as tx:
            batch = select(_table.key).where(forgotten | few).limit(limit)
            return tx.change(delete(Count).where(_table.key.in_(batch)))


class _OverError(Exception):
    """A count is over; everything counted before it in the transaction is taken back."""

    def __init__(self, rule: _Rule) -> None:
        super().__init__()
        self.rule = rule


def _reached(rule: _Rule, attempt: Attempt) -> Event:
    key = rule.key.hex()
    return Event(
        "limit.reached",
        facts={"policy": rule.policy, "ip": attempt.ip, "key": key[:16]},
        counted=key,
    )


# --- statements ---------------------------------------------------------------------------------

# Every sign-in runs these. Writing one down anew took longer than the database takes to run it.

_KEY = _table.key == bindparam("the_key")
_FOUND = select(_counts).where(_table.key.in_(bindparam("keys", expanding=True)))
_CLEARED = delete(_counts).where(_KEY)
_CLEARED_BUT_LOCKED = (
    update(_counts).where(_KEY, _table.strangers >= STRANGERS).values(failures=_table.strangers),
    delete(_counts).where(_KEY, _table.strangers < STRANGERS),
)
_GIVEN_BACK = (
    update(_counts)
    .where(_KEY, _table.failures > 0)
    .values(failures=_table.failures - 1, until=0.0),
    delete(_counts).where(_KEY, _table.failures <= 0),
)


@functools.cache
def _adding(on_postgresql: bool, consecutive: bool, known: bool) -> Any:
    """Write the statement that adds a failure to a count, unless the count is over."""
    now, waits_from = bindparam("now", type_=Float), bindparam("waits_from", type_=Integer)
    stranger = 0 if known else 1
    counted: ColumnElement[int] = _table.failures + 1
    first: ColumnElement[float] = literal(0.0)
    until = first
    if consecutive:
        free = _table.failures < ALL
        if not known:
            free &= _table.strangers < STRANGERS
    else:
        counted = case((_table.last <= now - FORGOTTEN_AFTER, 1), else_=counted)
        free = _table.until <= now
        first = case((waits_from == 1, now + 1), else_=0.0)
        until = _until(counted, waits_from, now)
    inserted = upsert(_counts, on_postgresql)
    inserted = inserted.values(
        key=bindparam("the_key"),
        kind=bindparam("the_kind"),
        failures=1,
        strangers=stranger,
        until=first,
        last=now,
    )
    changed = {
        "failures": counted,
        "strangers": _table.strangers + stranger,
        "until": until,
        "last": now,
    }
    return inserted.on_conflict_do_update(
        index_elements=[_table.key], set_=changed, where=free
    ).returning(_table.failures)


def _until(
    failures: "ColumnElement[int]", waits_from: "ColumnElement[int]", now: "ColumnElement[float]"
) -> "ColumnElement[float]":
    """Give, as SQL, when the next one may come after so many failures.

    That is at any time while there are few: `now` itself would refuse whoever read the clock a
    moment earlier, waited for the row, or has a clock that is slow.
    """
    over = failures - waits_from
    doubled = now + literal(1).op("<<")(over)
    longest = now + LONGEST_WAIT
    return case((over < 0, 0.0), (over >= LONGEST_WAIT.bit_length(), longest), else_=doubled)


# --- commands -----------------------------------------------------------------------------------


def _lines(counts: list[Count]) -> Iterator[str]:
    for count in counts:
        until = f"waits until {clock.written(count.until)}" if count.until > clock.now() else ""
        yield f"{count.failures:6}  {clock.written(count.last)}  {count.kind:20}  {until}".rstrip()


@click.command("users unlock")
@click.argument("user")
@click.pass_obj
def unlock(service: Any, user: str) -> None:
    """Forget the wrong passwords tried for an account, so that it can sign in again."""
    click.echo(f"unlocked {service.auth.limits.unlock(user)}")


@click.command("limits show")
@click.argument("email_or_ip", required=False)
@click.pass_obj
def show(service: Any, email_or_ip: str | None) -> None:
    """Show the failures counted for an email or an ip, or the hundred largest counts."""
    limits: Limits = service.auth.limits
    found = limits.busy() if email_or_ip is None else limits.find(email_or_ip)
    for line in _lines(found):
        click.echo(line)
    if not found:
        click.echo("no failures are counted")


@click.command("limits clear")
@click.argument("email_or_ip")
@click.pass_obj
def clear(service: Any, email_or_ip: str) -> None:
    """Forget the failures counted for an email or an ip."""
    click.echo(f"cleared {service.auth.limits.clear(email_or_ip)} counts")


Limits.commands = (unlock, show, clear)
