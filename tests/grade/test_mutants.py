"""What the grader does not see is listed, with the reason; the list is whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from tests.grade.mutants import Mutant, is_let_through, listed, mutants

ALL = mutants()


def test_the_list_names_mutants_and_reasons() -> None:
    """Each entry is a mutant that there is, and says why no case of the sheet can see it."""
    names = {one.name for one in ALL}
    found = listed()
    assert found
    assert set(found) <= names
    assert all(len(why) > 20 for why in found.values())


def test_a_mutant_is_seen(tmp_path: Path) -> None:
    """A search without its guard is let through by nothing."""
    guard = next(one for one in ALL if "`if False` for `if session_id is None:`" in one.name)
    assert not is_let_through(guard, tmp_path)


#: All of them take ten minutes of a processor: `make mutants` tries all, `make check` each twelfth.
TRIED = ALL if os.environ.get("MUTANTS") == "1" else ALL[::12]


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("mutant", TRIED, ids=lambda one: f"{one.file}-{one.line}-{one.what}"[:80])
def test_every_other_mutant_is_seen(
    mutant: Mutant, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The list is whole: what is not on it fails a case, and what is on it fails none."""
    caplog.set_level(logging.ERROR, "werkzeug")
    assert is_let_through(mutant, tmp_path) == (mutant.name in listed())
