"""The contract of the exercise: every case of `grade.cases`, on the halves that it holds for."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from grade.cases import CASES, Case
from grade.sheet import TASKS
from tests.seed.conftest import HALVES
from tests.seed.half import Half

PAIRS = [
    pytest.param(
        half,
        case,
        id=f"{case.name}-{half}",
        # The grader runs them on the exercise too, in tests/grade.
        marks=[pytest.mark.thorough] * (half == "course" and case.who != "exercise"),
    )
    for case in CASES
    for half in HALVES
    if case.who != "mended" and (case.who != "exercise" or half == "course")
]


@pytest.mark.parametrize(("half", "case"), PAIRS, indirect=["half"])
def test_case(half: Half, case: Case) -> None:
    """What the sheet says holds."""
    case.run(half)


def test_every_task_has_cases_and_every_case_its_words() -> None:
    """Each task is judged by something, and each case says what the sheet says, and a hint."""
    asked = {case.task for case in CASES if case.who in {"everyone", "exercise"}}
    assert asked == {task.number for task in TASKS}
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.sentence.endswith("."), case.name
        for hint in case.hint.values():
            assert hint.endswith((".", "?")) == (case.who != "house"), case.name


def test_only_public_methods_of_the_database_are_used(half: Half) -> None:
    """Remember that only public methods of self._db can be used."""
    auth = half.make_auth()
    source = Path(inspect.unwrap(type(auth).create_session).__code__.co_filename)
    used = [
        node.attr
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "_db"
    ]
    assert used
    assert [name for name in used if name.startswith("_")] == []
