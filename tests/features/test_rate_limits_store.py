"""rate_limits: what a store promises, on both databases, and that nothing else counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pytest

from bienvenue.authentication import CODE
from bienvenue.db import DatabaseUnavailable
from bienvenue.features.rate_limits import UNKNOWN_DEVICES, Count, Rule, Store
from bienvenue.features.rate_limits.store import DatabaseStore, OverError
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.races import race

pytestmark = pytest.mark.statements

DAY = 86400
ROW = Rule(b"r" * 32, "consecutive", "account", None)
ACCOUNT = Rule(b"a" * 32, "unknown", "account", 2)
NETWORK = Rule(b"n" * 32, "192.0.2.1/32", "network", 5, drains=True)
RULES = (ROW, ACCOUNT, NETWORK)
KEYS = [rule.key for rule in RULES]


@pytest.fixture
def store(service: Service) -> Store:
    """The store of the house."""
    return DatabaseStore(service.auth._db)


def failures(store: Store) -> list[int]:
    """Give the failures by kind: network, consecutive, unknown device."""
    return [count.failures for count in store.find(KEYS)]


def test_it_reserves_everywhere_or_nowhere(store: Store, moving_clock: Clock) -> None:
    """The account is over at its third, and the counts before it in the transaction stand."""
    for _ in range(2):
        store.reserve(RULES, known=False)
    with pytest.raises(OverError) as over:
        store.reserve(RULES, known=False)
    assert over.value.rule == ACCOUNT
    assert failures(store) == [2, 2, 2]
    moving_clock.forward(1)
    store.reserve(RULES, known=False)
    assert failures(store) == [3, 3, 3]
    assert [count.blocked_until for count in store.find(KEYS)] == [0.0, 0.0, moving_clock.time + 2]


def test_a_count_moves_with_its_account(store: Store, moving_clock: Clock) -> None:
    """What was there before is gone, what has no count leaves none, and nothing is at the old."""
    other = Rule(b"o" * 32, "consecutive", "account", None)
    none, empty = b"x" * 32, b"y" * 32
    for rule, times in ((ROW, 3), (other, 2), (Rule(empty, "known", "account", 9), 1)):
        for _ in range(times):
            store.reserve([rule], known=False)
    moving_clock.forward(60)
    store.move({ROW.key: other.key, none: empty})
    assert store.find([ROW.key, none, empty]) == []
    (moved,) = store.find([other.key])
    assert (moved.failures, moved.unknown_device_failures, moved.last_failed_at) == (
        3,
        3,
        moving_clock.time - 60,
    )
    store.move({})
    assert store.find([other.key]) == [moved]


@pytest.mark.usefixtures("moving_clock")
def test_it_reserves_one_at_a_time(store: Store) -> None:
    """Of twelve at once two find a place."""

    def reserved(_number: int) -> bool:
        try:
            store.reserve(RULES, known=False)
        except OverError:
            return False
        return True

    assert sorted(race(reserved, 12)) == [False] * 10 + [True] * 2


def test_it_settles(store: Store) -> None:
    """The account's counts go and the network's has one less, or goes too; twice is no harm."""
    store.reserve([ROW, ACCOUNT, NETWORK], known=False)
    store.reserve([ROW, NETWORK], known=True)
    assert [(count.kind, count.unknown_device_failures) for count in store.find(KEYS)] == [
        ("192.0.2.1/32", 1),
        ("consecutive", 1),
        ("unknown", 1),
    ]
    store.release(RULES)
    assert failures(store) == [1]
    store.release(RULES)
    store.release(RULES)
    assert store.find(KEYS) == []


def test_a_lock_against_attackers_outlasts_a_success(store: Store) -> None:
    """What the owner's device failed is forgiven; what unknown devices failed is not."""
    for _ in range(UNKNOWN_DEVICES):
        store.reserve([ROW], known=False)
    store.reserve([ROW], known=True)
    with pytest.raises(OverError):
        store.reserve([ROW], known=False)
    store.release([ROW, ACCOUNT])
    assert failures(store) == [UNKNOWN_DEVICES]


def test_it_gives_the_busiest_and_clears(store: Store) -> None:
    """Sorted by failures, so many as asked for."""
    store.reserve([ROW, NETWORK], known=False)
    store.reserve([ROW], known=False)
    assert [count.key for count in store.busy(1)] == [ROW.key]
    assert [count.failures for count in store.busy(9)] == [2, 1]
    assert store.clear(KEYS) == 2
    assert store.clear(KEYS) == 0


def test_it_sweeps(store: Store, moving_clock: Clock) -> None:
    """After a day what waits, after three months what is few in a row, so many at a time."""
    store.reserve(RULES, known=False)
    assert store.sweep(moving_clock.time + DAY - 1, 9, few=2) == 0
    assert store.sweep(moving_clock.time + DAY, 1, few=2) == 1
    assert store.sweep(moving_clock.time + DAY, 9, few=2) == 1
    assert [count.kind for count in store.find(KEYS)] == ["consecutive"]
    assert store.sweep(moving_clock.time + 90 * DAY, 9, few=1) == 0
    assert store.sweep(moving_clock.time + 90 * DAY, 9, few=2) == 1


def test_it_gives_what_rests(store: Store, moving_clock: Clock) -> None:
    """Consecutive counts of so many failures, those of the longest ago first, so many at a time."""
    later = Rule(b"l" * 32, "consecutive", "account", None)
    store.reserve([ROW, ACCOUNT, NETWORK], known=False)
    store.reserve([ROW], known=False)
    now = moving_clock.time
    assert store.resting(now - 1, 1, 9) == []
    assert store.resting(now, 3, 9) == []
    assert store.resting(now, 2, 9) == [ROW.key]
    moving_clock.forward(1)
    store.reserve([later], known=False)
    assert store.resting(now + 1, 1, 9) == [ROW.key, later.key]
    assert store.resting(now + 1, 1, 1) == [ROW.key]


class Elsewhere:
    """A store that is not the database: it lets no one in, or cannot be reached."""

    def __init__(self, away: bool) -> None:
        """Say which."""
        self.away = away
        self.asked: list[str] = []

    def find(self, keys: Collection[bytes]) -> list[Count]:
        """Give a count that asks for no wait yet."""
        self.asked.append("find")
        return [Count(key, "unknown", 3, 3, 0.0, 0.0) for key in keys]

    def busy(self, most: int) -> list[Count]:
        """Give none."""
        raise NotImplementedError(most)

    def reserve(self, rules: Sequence[Rule], known: bool) -> None:
        """Have no place, or be away."""
        self.asked.append(f"reserve {len(rules)} {known}")
        if self.away:
            raise DatabaseUnavailable
        raise OverError(rules[1])

    def release(self, rules: Sequence[Rule]) -> None:
        """Never come here."""
        raise NotImplementedError(rules)

    def clear(self, keys: Collection[bytes]) -> int:
        """Say that there were some."""
        self.asked.append(f"clear {len(keys)}")
        return len(keys)

    def move(self, keys: Mapping[bytes, bytes]) -> None:
        """Keep how many."""
        self.asked.append(f"move {len(keys)}")

    def resting(self, before: float, few: int, most: int) -> list[bytes]:
        """Say that there are none."""
        del before, few, most
        return []

    def sweep(self, now: float, limit: int, few: int) -> int:
        """Say that there are none."""
        self.asked.append(f"sweep {limit} {few}")
        return int(now < 0)


@pytest.mark.parametrize("away", [False, True])
def test_another_store_may_stand_in_its_place(service: Service, away: bool) -> None:
    """A sign-in asks it and only it; where it is away no one signs in."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    elsewhere, limits = Elsewhere(away), service.auth.rate_limits
    limits.store = elsewhere
    answer = service.client().post("/sessions", json={"email": EMAIL, "password": PASSPHRASE})
    assert answer.status_code == (503 if away else 429)
    asked = ["find", "reserve 3 False"]
    assert elsewhere.asked == (asked if away else [*asked, "find"])
    assert limits.unlock(CODE, EMAIL) == EMAIL
    assert limits.clear("192.0.2.1") == 1
    assert limits.sweep(0.0, 7) == 0
    assert elsewhere.asked[-3:] == [
        "clear 3",
        "clear 1",
        f"sweep 7 {limits.settings.rate_limit_account}",
    ]
