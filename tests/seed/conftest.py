"""The halves on which the contract of the exercise is tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.seed.half import Half, course_half

#: Each half by its name: a context manager that takes an empty folder and gives a Half.
HALVES: dict[str, Callable[[Path], AbstractContextManager[Half]]] = {
    "course": course_half,
    # ---- The service is added here: "service": service_half, from tests/seed/half.py ----
}


@pytest.fixture(params=sorted(HALVES))
def half(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Half]:
    """Give each half in turn: what the exercise says holds in all of them."""
    with HALVES[request.param](tmp_path) as one:
        yield one


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Half]:
    """Give the course alone, for the steps that only it has and for what it says to the letter."""
    with course_half(tmp_path) as one:
        yield one
