"""`make attack`: the attacks of the course on somebody's files, beside the service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grade import __main__ as command
from grade import attack
from grade.sheet import COURSE
from tests.attacks.attack import load
from tests.grade.test_variants import SCHOOL
from tests.grade.variants import together, write

pytestmark = pytest.mark.slow


@pytest.mark.thorough
def test_one_attack_on_a_schools_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It wins on them, whatever their style, and is refused by the service; a.db is untouched."""
    mine = together(tmp_path / "mine", *SCHOOL)
    (mine / "a.db").write_bytes(b"mine")
    assert command.main(["--attack", "--only", "a01", str(mine)]) == 0
    said = capsys.readouterr().out
    assert "A01: A reset without a token finds whoever has none.  course/33-" in said
    assert "  yours: WON: no token set the password of person" in said
    assert "  the service: refused: " in said
    assert "cost 8, 256 rounds" in said
    assert (mine / "a.db").read_bytes() == b"mine"


@pytest.mark.thorough
def test_an_attack_waits_for_its_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not written yet cannot be attacked."""
    mine = write(tmp_path, {"app.py": (('@app.put("/reset_password")\n', ""),)})
    assert command.main(["--attack", "--only", "A01", str(mine), "--language", "fr"]) == 0
    assert "  le vôtre: attend la tâche 20" in capsys.readouterr().out


def test_an_attack_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said, and nothing is run."""
    assert command.main(["--attack", "--only", "Z99", str(COURSE)]) == command.NOTHING
    assert "no attack on the exercise is named Z99" in capsys.readouterr().err


@pytest.mark.thorough
def test_a_repair_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The course as it stands is open, with the reason; the sheet holds."""
    assert command.main(["--mended", "--only", "A01", str(COURSE)]) == 1
    said = capsys.readouterr().out
    assert "21 of 21 tasks are done." in said
    assert " 33. A01  OPEN: no token set the password of person" in said
    assert command.main(["--mended", "--only", "Z99", "--json", "--task", "1", str(COURSE)]) == 1
    (repair,) = json.loads(capsys.readouterr().out)["repairs"]
    assert not repair["closed"]
    assert "no attack on the exercise is named Z99" in repair["text"]


@pytest.mark.thorough
def test_an_app_that_answers_nonsense_is_not_tried(tmp_path: Path) -> None:
    """What an attack cannot read is neither won nor refused."""
    mine = write(tmp_path / "mine", {})
    with attack.builds(mine) as made:
        one = next(one for one in load() if one.name == "an_old_token")
        (tmp_path / "mine" / "app.py").unlink()
        copied = next(made._exercise.glob("app.py"))
        copied.write_text("import os\nos._exit(3)\n")
        state, why = attack.tried(made, one, "course")
    assert state == "untried"
    assert "did not start" in why


@pytest.mark.thorough
def test_every_attack_of_the_exercise(capsys: pytest.CaptureFixture[str]) -> None:
    """All that win on the course win here, and none on the service."""
    assert command.main(["--attack", str(COURSE)]) == 0
    lines = capsys.readouterr().out.splitlines()
    wins = [one for one in load() if "course" in one.wins]
    mine = [line for line in lines if line.startswith("  yours: ")]
    assert [line for line in mine if not line.startswith("  yours: WON: ")] == []
    ours = [line for line in lines if line.startswith("  the service: ")]
    assert [line for line in ours if not line.startswith("  the service: refused: ")] == []
    assert len(mine) == len(ours) == len(wins)
