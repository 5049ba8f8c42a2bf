"""The halves on which the contract of the exercise is tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from grade.learner import Learner
from tests.databases import KINDS, Databases
from tests.seed.half import Half, course_half, service_half

#: Each half by its name; the service is one on each kind of database.
HALVES = ("course", *(f"service on {kind}" for kind in KINDS))


def _open(name: str, folder: Path, databases: Databases) -> AbstractContextManager[Half]:
    if name == "course":
        return course_half(folder)
    return service_half(folder, databases, name.rpartition(" ")[2])


@pytest.fixture(params=HALVES)
def half(request: pytest.FixtureRequest, tmp_path: Path, databases: Databases) -> Iterator[Half]:
    """Give each half in turn: what the exercise says holds in all of them."""
    with _open(request.param, tmp_path, databases) as one:
        yield one


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Learner]:
    """Give the course alone, for the steps that only it has and for its exact words."""
    with course_half(tmp_path) as one:
        yield one
