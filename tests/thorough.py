"""What `make test` leaves to `make check`, which CI runs after it on every change.

`make test` shows every behaviour once. A test that is marked `thorough` shows one again: on
PostgreSQL what no statement decides, in another language, at more moments, in the other cases of a
table of one behaviour. `often` gives a loop its number of turns.
"""

from __future__ import annotations

import os
import zlib

import pytest

THOROUGH = os.environ.get("THOROUGH") == "1"


def often(few: int, many: int) -> int:
    """Give how many turns a loop takes: few in `make test`, many in `make check`."""
    return many if THOROUGH else few


def mark_tables(items: list[pytest.Item]) -> None:
    """Mark what a table shows of one behaviour again: all its cases but one, or but `shown`.

    The name of a test decides which, so that tests of one table show different ones.
    """
    tables: dict[str, dict[str, list[pytest.Item]]] = {}
    for item in items:
        if item.get_closest_marker("table") and not item.get_closest_marker("thorough"):
            cases = tables.setdefault(_test(item), {})
            cases.setdefault(_name_of_twin(item), []).append(item)
    for test, cases in tables.items():
        mark = next(iter(cases.values()))[0].get_closest_marker("table")
        shown = 1 if mark is None else mark.kwargs.get("shown", 1)
        first = zlib.crc32(test.encode())
        kept = {(first + turn * len(cases) // shown) % len(cases) for turn in range(shown)}
        for place, twins in enumerate(cases.values()):
            for item in twins:
                if place not in kept:
                    item.add_marker("thorough")


def mark_twins(items: list[pytest.Item]) -> None:
    """Mark the twins on the other database that show again what another test shows.

    Where statements decide, `make test` runs each test on PostgreSQL alone, with the first of its
    other parameters, and every one on SQLite that has more of them; where none does, on SQLite.
    """
    first: dict[str, pytest.Item] = {}
    for item in items:
        decided = item.get_closest_marker("statements") and not item.get_closest_marker("thorough")
        if decided and _kind(item) == "postgresql":
            first.setdefault(_test(item), item)
    shown = {_name_of_twin(item) for item in first.values()}
    for item in items:
        again = _kind(item) == "postgresql" and first.get(_test(item)) is not item
        if again or item.nodeid in shown:
            item.add_marker("thorough")


def _kind(item: pytest.Item) -> str | None:
    """Return the kind of the database that a test is given, if it is one of two."""
    given = getattr(item, "callspec", None)
    kinds = [] if given is None else [str(kind) for kind in given.params.values()]
    return next(
        (kind for kind in ("postgresql", "sqlite") if any(one.endswith(kind) for one in kinds)),
        None,
    )


def _test(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _name_of_twin(item: pytest.Item) -> str:
    """Return the name that a test on PostgreSQL has on SQLite."""
    test, bracket, parameters = item.nodeid.partition("[")
    return test + bracket + parameters.replace("postgresql", "sqlite")
