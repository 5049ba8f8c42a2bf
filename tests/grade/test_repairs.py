"""Every chapter's exercise: a right repair holds, and wrong ones are refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from grade import attack, runner, show, verdict
from tests.grade.mending import RIGHT, WRONG, Repair

pytestmark = pytest.mark.slow


def _cases(repairs: list[Repair]) -> list[object]:
    # Each grades all tasks and runs an attack.
    return [pytest.param(one, id=one.name, marks=pytest.mark.thorough) for one in repairs]


def judged(repair: Repair, folder: Path) -> tuple[bool, str]:
    """Say whether a repair holds, and everything that is said against it."""
    repair.write(folder)
    graded = runner.grade(folder, verdict.numbers(None), mended=True)
    said = [line for line in show.as_text(graded, "en") if "done" not in line]
    found = list(attack.mended(folder, [repair.attack], "en"))
    held = verdict.all_done(graded) and all(lost for lost, _ in found)
    return held, " ".join(" ".join([*said, *(line for _, line in found)]).split())


@pytest.mark.parametrize("repair", _cases(RIGHT))
def test_a_right_repair_holds(repair: Repair, tmp_path: Path) -> None:
    """The attack loses, and the sheet still holds."""
    held, said = judged(repair, tmp_path / "mine")
    assert held, said


@pytest.mark.parametrize("repair", _cases(WRONG))
def test_a_wrong_repair_is_refused(repair: Repair, tmp_path: Path) -> None:
    """And the reason is said."""
    held, said = judged(repair, tmp_path / "mine")
    assert not held
    assert " ".join(repair.reason.split()) in said


def test_every_chapter_has_its_repairs() -> None:
    """One that holds, and at least two that do not."""
    for chapter in attack.chapters():
        assert [one.name for one in RIGHT if one.attack == chapter.attack], chapter.path.name
        assert len([one.name for one in WRONG if one.attack == chapter.attack]) >= 2
    assert len(attack.chapters()) == 13
