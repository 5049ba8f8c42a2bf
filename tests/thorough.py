"""What `make test` leaves to `make check`, which CI runs after it on every change.

`make test` shows every behaviour once. A test that is marked `thorough` shows one again: on
PostgreSQL what no statement decides, in another language, at more moments. `often` gives a loop its
number of turns.
"""

from __future__ import annotations

import os

import pytest

THOROUGH = os.environ.get("THOROUGH") == "1"


def often(few: int, many: int) -> int:
    """Give how many turns a loop takes: few in `make test`, many in `make check`."""
    return many if THOROUGH else few


def mark_twins(items: list[pytest.Item]) -> None:
    """Mark the PostgreSQL twins that show again what another test shows.

    Where statements decide, `make test` runs each test once on PostgreSQL, with the first of its
    other parameters; where none does, not at all.
    """
    seen: set[str] = set()
    for item in items:
        given = getattr(item, "callspec", None)
        kinds = [] if given is None else list(given.params.values())
        if not any(isinstance(kind, str) and kind.endswith("postgresql") for kind in kinds):
            continue
        test = item.nodeid.partition("[")[0]
        if item.get_closest_marker("statements") is None or test in seen:
            item.add_marker("thorough")
        elif item.get_closest_marker("thorough") is None:
            seen.add(test)
