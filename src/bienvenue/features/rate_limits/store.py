"""The store of the counts of failures: its interface, and the store in the database."""

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import (
    Float,
    Integer,
    bindparam,
    case,
    delete,
    literal,
    select,
    update,
)

from bienvenue import clock
from bienvenue.db import DB, Transaction, retried, upsert
from bienvenue.features.rate_limits.models import counts

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

_table = counts.c

LONGEST_WAIT = 3600
FORGOTTEN_AFTER = 86400
"""Seconds without a failure after which a count starts again at zero."""

UNKNOWN_DEVICES, ALL = 90, 100
"""Consecutive failures after which the password works from known devices only, and not at all.

NIST SP 800-63B-4 section 3.2.2 allows 100 in total; unknown devices stop ten earlier, which leaves
ten to the owner's known devices.
"""

FEW_KEPT = 90 * 86400
"""Seconds without a failure after which a consecutive count that locks nothing is deleted."""


# --- the interface ------------------------------------------------------------------------------


class Count(NamedTuple):
    """The failures of one key. The key is a MAC, so the store contains no email."""

    key: bytes
    #: "consecutive", "known", "unknown", or a network such as "203.0.113.7/32".
    kind: str
    failures: int
    #: For a consecutive count: how many failures came from unknown devices.
    unknown_device_failures: int
    #: The time before which the next attempt is refused, in seconds since 1970.
    blocked_until: float
    #: The time of the last failure, in seconds since 1970.
    last_failed_at: float


@dataclass(frozen=True)
class Rule:
    """One key that an attempt counts against, and the failure from which the next one waits.

    Without `waits_from` the count is the consecutive one, which has UNKNOWN_DEVICES and ALL.
    """

    key: bytes
    kind: str
    policy: str
    waits_from: int | None
    #: Whether time lowers the count steadily, by `waits_from` a day, instead of all at once.
    drains: bool = False


class OverError(Exception):
    """A count has reached its limit."""

    def __init__(self, rule: Rule) -> None:
        """Take the rule whose count it is."""
        super().__init__()
        self.rule = rule


class Store(Protocol):
    """The interface of a store. Each call is atomic for all processes that share the store.

    Rules always come in the same order: consecutive, account, network. Every call may raise
    DatabaseUnavailable, and then counts nothing.
    """

    def find(self, keys: Collection[bytes]) -> list[Count]:
        """Return the counts of these keys, sorted by kind; a key without failures has none."""

    def busy(self, most: int) -> list[Count]:
        """Return at most `most` counts, the largest first."""

    def reserve(self, rules: Sequence[Rule], known: bool) -> None:
        """Add a failure to the count of every rule. Raises OverError, and then adds to none."""

    def release(self, rules: Sequence[Rule]) -> None:
        """Clear the account's counts, except a lock, and subtract one from the network's."""

    def clear(self, keys: Collection[bytes]) -> int:
        """Delete the counts of these keys; return how many."""

    def move(self, keys: Mapping[bytes, bytes]) -> None:
        """Move the count of each key to the key it maps to, in place of the count there."""

    def sweep(self, now: float, limit: int, few: int) -> int:
        """Delete at most `limit` counts: expired ones, and those below `few` after 90 days.

        `now` is in seconds since 1970; only consecutive counts wait for 90 days. Returns how many.
        """

    def resting(self, before: float, few: int, most: int) -> list[bytes]:
        """Return the keys of consecutive counts of `few` or more, those that rest longest first.

        Their last failure was at `before` or earlier, in seconds since 1970; `most` is how many.
        """


# --- the store in the database ------------------------------------------------------------------


class DatabaseStore:
    """A store of rows that single conditional statements change."""

    def __init__(self, db: DB) -> None:
        """Take the database of the accounts."""
        self._db = db

    def find(self, keys: Collection[bytes]) -> list[Count]:
        """Read the counts of these keys."""
        with self._db.reading() as tx:
            return [_read(row) for row in tx.execute(_FOUND, {"keys": list(keys)})]

    def busy(self, most: int) -> list[Count]:
        """Read the largest counts."""
        with self._db.reading() as tx:
            largest = select(counts).order_by(_table.failures.desc(), _table.key).limit(most)
            return [_read(row) for row in tx.execute(largest)]

    @retried
    def reserve(self, rules: Sequence[Rule], known: bool) -> None:
        """Add the failures in one transaction, with one statement for each rule."""
        with self._db.transaction() as tx:
            for rule in rules:
                self._count(tx, rule, known)

    def _count(self, tx: Transaction, rule: Rule, known: bool) -> None:
        """Add one failure in one statement. Raises OverError when the count is at its limit."""
        adding = _adding(self._db.on_postgresql, rule.waits_from is None, known, rule.drains)
        values = {"the_key": rule.key, "the_kind": rule.kind, "now": clock.now()}
        added = tx.execute(adding, values | {"waits_from": rule.waits_from}).scalar_one_or_none()
        if added is None:
            raise OverError(rule)

    @retried
    def release(self, rules: Sequence[Rule]) -> None:
        """Clear the counts in the order of `reserve`; another order could deadlock PostgreSQL."""
        consecutive, account, *networks = rules
        with self._db.transaction() as tx:
            for statement in _CLEARED_BUT_LOCKED:
                tx.execute(statement, {"the_key": consecutive.key})
            tx.execute(_CLEARED, {"the_key": account.key})
            for network in networks:
                for statement in _GIVEN_BACK:
                    tx.execute(statement, {"the_key": network.key})

    @retried
    def clear(self, keys: Collection[bytes]) -> int:
        """Delete the counts of these keys."""
        with self._db.transaction() as tx:
            return tx.change(delete(counts).where(_table.key.in_(keys)))

    @retried
    def move(self, keys: Mapping[bytes, bytes]) -> None:
        """Delete the rows of all keys and insert the moved ones under their new keys."""
        with self._db.transaction() as tx:
            both = _table.key.in_([*keys, *keys.values()])
            found = tx.execute(delete(counts).where(both).returning(*_table)).mappings().all()
            moved = [{**row, "key": keys[row["key"]]} for row in found if row["key"] in keys]
            for row in moved:
                inserted = upsert(counts, self._db.on_postgresql).values(row)
                # A concurrent attempt may have counted there; its failures are added.
                more = {
                    "failures": _table.failures + inserted.excluded.failures,
                    "unknown_device_failures": _table.unknown_device_failures
                    + inserted.excluded.unknown_device_failures,
                }
                key = [_table.key]
                tx.execute(inserted.on_conflict_do_update(index_elements=key, set_=more))

    @retried
    def sweep(self, now: float, limit: int, few: int) -> int:
        """Delete one batch of them."""
        consecutive = _table.kind == "consecutive"
        forgotten = ~consecutive & (_table.last_failed_at <= now - FORGOTTEN_AFTER)
        old_few = consecutive & (_table.failures < few) & (_table.last_failed_at <= now - FEW_KEPT)
        with self._db.transaction() as tx:
            batch = select(_table.key).where(forgotten | old_few).limit(limit)
            return tx.change(delete(counts).where(_table.key.in_(batch)))

    def resting(self, before: float, few: int, most: int) -> list[bytes]:
        """Read their keys."""
        old = (_table.kind == "consecutive") & (_table.last_failed_at <= before)
        found = select(_table.key).where(old, _table.failures >= few)
        with self._db.reading() as tx:
            return list(tx.scalars(found.order_by(_table.last_failed_at).limit(most)))


# --- statements ---------------------------------------------------------------------------------

# Every sign-in runs these. Building one each time took longer than the database takes to run it.

_KEY = _table.key == bindparam("the_key")
_FOUND = (
    select(counts).where(_table.key.in_(bindparam("keys", expanding=True))).order_by(_table.kind)
)


def _read(row: Any) -> Count:
    """Return a row as a Count, with the failures as a whole number that is never too small."""
    return Count._make(row)._replace(failures=math.ceil(row.failures))


_CLEARED = delete(counts).where(_KEY)
_CLEARED_BUT_LOCKED = (
    update(counts)
    .where(_KEY, _table.unknown_device_failures >= UNKNOWN_DEVICES)
    .values(failures=_table.unknown_device_failures),
    delete(counts).where(_KEY, _table.unknown_device_failures < UNKNOWN_DEVICES),
)
_GIVEN_BACK = (
    update(counts)
    .where(_KEY, _table.failures > 0)
    .values(failures=_table.failures - 1, blocked_until=0.0),
    delete(counts).where(_KEY, _table.failures <= 0),
)


@functools.cache
def _adding(on_postgresql: bool, consecutive: bool, known: bool, drains: bool) -> Any:
    """Build the statement that adds a failure to a count, unless the count is at its limit."""
    now, waits_from = bindparam("now", type_=Float), bindparam("waits_from", type_=Integer)
    unknown = 0 if known else 1
    counted: ColumnElement[float] = _table.failures + 1
    first: ColumnElement[float] = literal(0.0)
    until = first
    if consecutive:
        free = _table.failures < ALL
        if not known:
            free &= _table.unknown_device_failures < UNKNOWN_DEVICES
    else:
        if drains:
            counted = _drained(waits_from, now) + 1
        else:
            counted = case((_table.last_failed_at <= now - FORGOTTEN_AFTER, 1), else_=counted)
        # A wait further ahead than the longest was set by a clock that was wrong.
        free = (_table.blocked_until <= now) | (_table.blocked_until > now + LONGEST_WAIT)
        first = case((waits_from == 1, now + 1), else_=0.0)
        until = _until(counted, waits_from, now)
    inserted = upsert(counts, on_postgresql)
    inserted = inserted.values(
        key=bindparam("the_key"),
        kind=bindparam("the_kind"),
        failures=1,
        unknown_device_failures=unknown,
        blocked_until=first,
        last_failed_at=now,
    )
    changed = {
        "failures": counted,
        "unknown_device_failures": _table.unknown_device_failures + unknown,
        "blocked_until": until,
        "last_failed_at": now,
    }
    return inserted.on_conflict_do_update(
        index_elements=[_table.key], set_=changed, where=free
    ).returning(_table.failures)


def _drained(
    waits_from: "ColumnElement[int]", now: "ColumnElement[float]"
) -> "ColumnElement[float]":
    """Build the SQL for what time has left of a count: it falls by `waits_from` a day."""
    passed = now - _table.last_failed_at
    left = _table.failures - passed * waits_from / float(FORGOTTEN_AFTER)
    return case((passed < 0, _table.failures), (left < 0, 0.0), else_=left)


def _until(
    failures: "ColumnElement[float]", waits_from: "ColumnElement[int]", now: "ColumnElement[float]"
) -> "ColumnElement[float]":
    """Build the SQL for the time before which the next attempt is refused.

    The time is 0 below the threshold. `now` would refuse a process that read its clock a moment
    earlier, waited for the row, or has a slow clock.
    """
    over = failures - waits_from
    # A count with a fraction is taken for the next whole number.
    doubled = [(over <= n, now + float(2**n)) for n in range(LONGEST_WAIT.bit_length())]
    return case((over <= -1, 0.0), *doubled, else_=now + LONGEST_WAIT)
