"""`make course-attacks` runs what the chapters tell, and fails when something goes otherwise."""

import subprocess
from pathlib import Path

import pytest

from tests.attacks import __main__ as command

CHAPTER = (
    "# The table that gives all away\n\n```sh\nmake -C .. attack FOLDER=course ONLY=A06\n```\n"
)


def test_a_chapter_that_is_true(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The attack wins on the exercise and not on the service."""
    (tmp_path / "01-user.md").write_text("# No attack here\n")
    (tmp_path / "22-dump.md").write_text(CHAPTER)
    assert command.story(tmp_path) == 0
    said = capsys.readouterr().out
    assert "No attack here" not in said
    for words in ("The table that gives all away", "the exercise: WON", "the service: refused"):
        assert words in said


@pytest.mark.parametrize("wins", [True, False])
def test_a_chapter_that_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wins: bool) -> None:
    """An attack that wins on both, or on none, makes the story false."""
    (tmp_path / "22-dump.md").write_text(CHAPTER)
    monkeypatch.setattr(command, "_run", lambda *_: wins)
    assert command.story(tmp_path) == 1


def test_the_files_of_the_course_may_be_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader who has closed a hole there hears how to check it, and no error of make."""
    monkeypatch.setattr(command, "story", lambda _: 1)
    for state, status in ((True, 0), (False, 1)):
        monkeypatch.setattr(command, "changed", lambda state=state: state)
        assert command.command(["--course"]) == status
    assert "make grade FOLDER=course MENDED=1" in capsys.readouterr().out


def test_a_change_is_seen(tmp_path: Path) -> None:
    """Against what the repository holds; where there is no repository, nothing is changed."""
    for name in ("user.py", "db.py", "auth.py", "app.py"):
        (tmp_path / name).write_text("")
    assert not command.changed(tmp_path)
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True, capture_output=True)
    assert not command.changed(tmp_path)
    (tmp_path / "auth.py").write_text("# closed\n")
    assert command.changed(tmp_path)


def test_help_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """By its option, and when no attack is named."""
    with pytest.raises(SystemExit) as ended:
        command.command(["--help"])
    assert ended.value.code == 0
    assert command.command([]) == 2
    assert capsys.readouterr().out.count("docs/attacks.md lists all") == 2
