"""`make course-attacks` runs what the chapters tell, and fails when something goes otherwise."""

from pathlib import Path

import pytest

from tests.attacks import __main__ as command

CHAPTER = (
    "# The table that gives all away\n\n```console\n$ python -m tests.attacks A06 course\n```\n"
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
