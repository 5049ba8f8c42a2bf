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
        """Add the failures in one transaction; the two counts of an account in one statement."""
        of_account = [rule for rule in rules if not rule.drains]
        consecutive = tuple(rule.waits_from is None for rule in of_account)
        with self._db.transaction() as tx:
            if of_account:
                adding = _of_account(self._db.on_postgresql, known, consecutive)
                self._count(tx, of_account, adding)
            for network in rules[len(of_account) :]:
                self._count(tx, [network], _of_network(self._db.on_postgresql, known))

    def _count(self, tx: Transaction, rules: Sequence[Rule], adding: Any) -> None:
        """Add one failure to each count. Raises OverError for the first that is at its limit."""
        values: dict[str, Any] = {"now": clock.now(), "waits_from": rules[-1].waits_from}
        for place, rule in enumerate(rules):
            values |= {f"the_key_{place}": rule.key, f"the_kind_{place}": rule.kind}
        added = set(tx.scalars(adding, values))
        for rule in rules:
            if rule.key not in added:
                raise OverError(rule)

    @retried
    def release(self, rules: Sequence[Rule]) -> None:
        """Clear the counts in the order of `reserve`; another order could deadlock PostgreSQL."""
        consecutive, account, *networks = rules
        with self._db.transaction() as tx:
            both = tx.change(_CLEARED_BUT_LOCKED, {"keys": [consecutive.key, account.key]})
            if both < len((consecutive, account)):
                tx.execute(_LOCKED, {"the_key": consecutive.key})
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


_LOCKED = (
    update(counts)
    .where(_KEY, _table.unknown_device_failures >= UNKNOWN_DEVICES)
    .values(failures=_table.unknown_device_failures)
)
_CLEARED_BUT_LOCKED = delete(counts).where(
    _table.key.in_(_FOUND.with_only_columns(_table.key).with_for_update()),
    (_table.kind != "consecutive") | (_table.unknown_device_failures < UNKNOWN_DEVICES),
)
_GIVEN_BACK = (
    update(counts)
    .where(_KEY, _table.failures > 0)
    .values(failures=_table.failures - 1, blocked_until=0.0),
    delete(counts).where(_KEY, _table.failures <= 0),
)


_NOW, _WAITS_FROM = bindparam("now", type_=Float), bindparam("waits_from", type_=Integer)
#: A wait further ahead than the longest was set by a clock that was wrong.
_PASSED = (_table.blocked_until <= _NOW) | (_table.blocked_until > _NOW + LONGEST_WAIT)
#: Where the first failure already makes the next attempt wait.
_AT_ONCE = case((_WAITS_FROM == 1, _NOW + 1), else_=0.0)


@functools.cache
def _of_account(on_postgresql: bool, known: bool, are_consecutive: tuple[bool, ...]) -> Any:
    """Build the statement that adds a failure to the consecutive and the daily count of an account.

    It returns the keys that it added to; a count at its limit is not among them.
    """
    consecutive = _table.kind == "consecutive"
    free = _table.failures < ALL
    if not known:
        free &= _table.unknown_device_failures < UNKNOWN_DEVICES
    forgotten = ~consecutive & (_table.last_failed_at <= _NOW - FORGOTTEN_AFTER)
    counted = case((forgotten, 1), else_=_table.failures + 1)
    until = case((consecutive, 0.0), else_=_until(counted, _WAITS_FROM, _NOW))
    where = (consecutive & free) | (~consecutive & _PASSED)
    first = [
        _first(place, known, literal(0.0) if is_consecutive else _AT_ONCE)
        for place, is_consecutive in enumerate(are_consecutive)
    ]
    return _adding(on_postgresql, first, known=known, counted=counted, until=until, where=where)


@functools.cache
def _of_network(on_postgresql: bool, known: bool) -> Any:
    """Build the statement that adds a failure to the count of a network; it returns as above."""
    counted = _drained(_WAITS_FROM, _NOW) + 1
    until = _until(counted, _WAITS_FROM, _NOW)
    first = [_first(0, known, _AT_ONCE)]
    return _adding(on_postgresql, first, known=known, counted=counted, until=until, where=_PASSED)


def _first(place: int, known: bool, until: "ColumnElement[float]") -> dict[str, Any]:
    return {
        "key": bindparam(f"the_key_{place}"),
        "kind": bindparam(f"the_kind_{place}"),
        "failures": 1,
        "unknown_device_failures": 0 if known else 1,
        "blocked_until": until,
        "last_failed_at": _NOW,
    }


def _adding(
    on_postgresql: bool,
    first: list[dict[str, Any]],
    *,
    known: bool,
    counted: "ColumnElement[float]",
    until: "ColumnElement[float]",
    where: "ColumnElement[bool]",
) -> Any:
    """Build the statement: a first failure is inserted, a count that is there goes up if `where`.

    A key whose count did not go up is not returned.
    """
    changed = {
        "failures": counted,
        "unknown_device_failures": _table.unknown_device_failures + (0 if known else 1),
        "blocked_until": until,
        "last_failed_at": _NOW,
    }
    inserted = upsert(counts, on_postgresql).values(first)
    return inserted.on_conflict_do_update(
        index_elements=[_table.key], set_=changed, where=where
    ).returning(_table.key)


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
