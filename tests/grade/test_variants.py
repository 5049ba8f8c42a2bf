"""Each fault is named at its task and at no other, and what the sheet allows passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from grade import runner, verdict
from grade.sheet import COURSE
from grade.verdict import DONE, NOT_YET
from tests.grade.variants import FAULTS, STYLES, Variant, together

#: Graded by `make test`; `make check` grades all.
FEW = {"find_user_by returns None"}


def _cases(variants: list[Variant]) -> list[object]:
    return [
        pytest.param(
            one,
            id=f"{one.file}-{one.name}",
            marks=[] if one.name in FEW else [pytest.mark.thorough],
        )
        for one in variants
    ]


def test_the_course_is_done() -> None:
    """Every task of it, and its own folder is as it was."""
    before = {path.name for path in COURSE.iterdir()}
    graded = runner.grade(COURSE, verdict.numbers(None))
    assert {number: one.state for number, one in graded.items()} == dict.fromkeys(
        range(1, 22), DONE
    )
    assert {path.name for path in COURSE.iterdir()} == before


@pytest.mark.parametrize("variant", _cases(FAULTS))
def test_a_fault_is_named_at_its_task(variant: Variant, tmp_path: Path) -> None:
    """Later tasks wait for it or are done, with the line, the chapter and a hint."""
    graded = runner.grade(variant.write(tmp_path / "mine"), verdict.numbers(None))
    named = [number for number, one in graded.items() if one.state == NOT_YET]
    assert named == [variant.task]
    finding = graded[variant.task].finding
    assert finding is not None
    assert finding.case is not None
    assert finding.place is not None
    assert finding.place.file.endswith(".py")
    assert finding.called


@pytest.mark.parametrize("variant", _cases(STYLES))
def test_a_style_passes(variant: Variant, tmp_path: Path) -> None:
    """The sheet does not forbid it."""
    graded = runner.grade(variant.write(tmp_path / "mine"), verdict.numbers(None))
    assert {one.number: one.finding for one in graded.values() if one.finding} == {}


#: The files that a school's sheet leads to: what it hands out, and what most pupils make of it.
SCHOOL = (
    "Column and declarative_base of sqlalchemy.ext",
    "one session, drop_all and echo",
    "the hash as bytes",
    "form[...]",
    "a slash at the end",
    "app.run without a guard",
    "requests",
)


@pytest.mark.thorough
def test_a_schools_files_pass(tmp_path: Path) -> None:
    """All of it at once, beside the sheet's own main files and a database of theirs."""
    mine = together(tmp_path / "0x03-user_authentication_service", *SCHOOL)
    (mine / "a.db").write_bytes(b"mine")
    (mine / "main.py").write_text("import requests\nrequests.get('http://localhost:5000/')\n")
    graded = runner.grade(mine, verdict.numbers(None))
    assert {one.number: one.finding for one in graded.values() if one.finding} == {}
    assert (mine / "a.db").read_bytes() == b"mine"


def test_there_are_enough_of_both() -> None:
    """Forty faults and twelve styles at least, and every task has a fault."""
    assert len(FAULTS) >= 40
    assert len(STYLES) >= 12
    assert {one.task for one in FAULTS} == set(range(1, 21))
