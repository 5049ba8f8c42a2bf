"""The command: its texts, its statuses, the empty beginning, a class, and what programs read."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from grade import __main__ as command
from grade import form, show, words
from grade.cases import of_learners
from grade.seen import Place, Step
from grade.sheet import COURSE, FILES, TASKS
from grade.verdict import Finding, Verdict, settle
from tests.grade.variants import write

TOP = COURSE.parent
BOB = ("    return str(uuid.uuid4())", "    return uuid.uuid4()")


def test_the_empty_beginning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four files and a README are made once, and the first task is the first to do."""
    mine = tmp_path / "mine"
    assert command.main(["--start", str(mine)]) == 0
    assert {path.name for path in mine.iterdir()} == {*FILES, "README.md"}
    assert all(os.access(mine / file, os.X_OK) for file in FILES)
    assert form.notes(mine) == []
    (mine / "user.py").write_text("# mine\n")
    assert command.main(["--start", str(mine)]) == 0
    assert (mine / "user.py").read_text() == "# mine\n"
    said = capsys.readouterr().out
    assert "there already, left as it was: user.py" in said
    assert "course/01-user.md" in said
    assert command.main(["--task", "1", str(mine)]) == 1
    said = capsys.readouterr().out
    assert "  1. user.py  User                           not yet" in said
    assert "It is no sandbox." in said
    assert "chapter   course/01-user.md" in said
    assert "Go on with task 1" in said


def test_one_task_with_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """STEP=1 tells each request, the row before and after, and the answer."""
    mine = write(tmp_path / "mine", {})
    assert command.main(["--task", "8", "--step", str(mine)]) == 0
    said = capsys.readouterr().out
    assert "> POST /users email=bob@example.com" in said
    assert "before   no rows" in said
    assert "after    id=1, email='bob@example.com', hashed_password='$2b$" in said
    assert 'answer   200 {"email": "bob@example.com", "message": "user created"}' in said


@pytest.mark.thorough
def test_a_task_that_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TASK=11 tells of task 10, which is to be done first, and counts only the task asked for."""
    mine = write(tmp_path / "mine", {"auth.py": (BOB,)})
    assert command.main(["--task", "11", str(mine)]) == 1
    said = capsys.readouterr().out
    assert " 10. auth.py  _generate_uuid                 not yet" in said
    assert "called    _generate_uuid()" in said
    assert " 11. auth.py  Auth.create_session            waits for task 10" in said
    assert "0 of 1 tasks are done.\nGo on with task 10" in said
    assert "  9. auth.py" not in said


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands in the text stands there too, in the language asked for."""
    mine = write(tmp_path / "mine", {"auth.py": (BOB,)})
    assert command.main(["--json", "--task", "10", "--language", "fr", str(mine)]) == 1
    said = json.loads(capsys.readouterr().out)
    (task,) = said["tasks"]
    assert task["verdict"] == "not yet"
    assert task["called"] == "_generate_uuid()"
    assert task["expected"] == "str"
    assert task["line"].startswith("auth.py:")
    assert task["chapter"] == "course/10-generate-uuid.md"
    assert task["hint"] == of_learners(10)[0].hint["fr"]
    assert said["form"]


@pytest.mark.thorough
def test_a_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a folder, and JUnit; what holds none of the four files is no folder of the class."""
    write(tmp_path / "all" / "ann", {})
    write(tmp_path / "all" / "bob", {"auth.py": (BOB,)})
    (tmp_path / "all" / "notes").mkdir()
    (tmp_path / "all" / "list.txt").write_text("")
    pattern, junit = str(tmp_path / "all" / "*"), tmp_path / "grades.xml"
    assert command.main(["--class", "--task", "11", "--junit", str(junit), pattern]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("-")
    assert lines[2].endswith("10 _generate_uuid")
    top = ET.parse(junit).getroot()
    suites = {Path(suite.get("name", "")).name: suite for suite in top}
    assert (suites["ann"].get("failures"), suites["ann"].get("skipped")) == ("0", "0")
    assert (suites["bob"].get("failures"), suites["bob"].get("skipped")) == ("1", "1")
    assert "called    _generate_uuid()" in "".join(suites["bob"].itertext())
    assert command.main(["--class", "--task", "10", "--json", pattern]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [one["not yet"] for one in told] == [0, 1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "name a folder"),
        (["/nowhere/at/all"], "is no folder"),
        ([str(COURSE.parent / "docs")], "none of user.py"),
        (["--task", "22", str(COURSE)], "the tasks 1 to 21"),
    ],
)
def test_what_cannot_be_graded(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told in a sentence, with a status of its own."""
    assert command.main(given) == command.NOTHING
    assert said in capsys.readouterr().err


@pytest.mark.thorough
def test_a_reader_may_stop_reading(tmp_path: Path) -> None:
    """`make grade | head -1` ends without a word on the pipe."""
    mine = write(tmp_path / "mine", {})
    graded = [sys.executable, "-m", "grade", "--task", "1", str(mine)]
    with subprocess.Popen(
        graded, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert running.stderr is not None
        said = running.stderr.read()
    assert said == ""
    assert running.returncode == command.OPEN


@pytest.mark.thorough
def test_make_hands_everything_on(tmp_path: Path) -> None:
    """A space and a ~ in the path, and the options by their names."""
    write(tmp_path / "my files", {})
    home = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(
        ["make", "grade", "FOLDER=~/my files", "TASK=1", "LANGUAGE=fr"],
        cwd=TOP, env=home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "  1. user.py  User                           fait" in done.stdout
    shown = subprocess.run(
        ["make", "-n", "grade", "FOLDERS=all/*", "JUNIT=x.xml", "MENDED=1", "ONLY=A01", "STEP=1",
         "JSON=1", "WATCH=1"],
        cwd=TOP, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for option in ("--class 'all/*'", "--junit 'x.xml'", "--mended", "--only A01", "--step"):
        assert option in shown.stdout


def test_watching(tmp_path: Path) -> None:
    """A saved file is graded again, until Ctrl-C."""
    mine = write(tmp_path / "mine", {"auth.py": (BOB,)})
    process = subprocess.Popen(
        [sys.executable, "-m", "grade", "--watch", "--task", "10", str(mine)],
        cwd=TOP, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    seen: list[str] = []
    with process.stdout:
        _watched(process, mine, seen)
    said = "".join(seen)
    assert said.index("not yet") < said.index("1 of 1 tasks are done.")


def _watched(process: subprocess.Popen[str], mine: Path, seen: list[str]) -> None:
    reading = threading.Thread(target=lambda: seen.extend(process.stdout or ()), daemon=True)
    try:
        _read_until(process, seen, "Ctrl-C")
        (mine / "auth.py").write_text((COURSE / "auth.py").read_text())
        _read_until(process, seen, "Ctrl-C")
        process.send_signal(signal.SIGINT)
        reading.start()
        assert process.wait(180) == 0
        reading.join(180)
    finally:
        process.kill()


def _read_until(process: subprocess.Popen[str], seen: list[str], words_: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        seen.append(line)
        if words_ in line:
            return


def test_every_text_is_there_in_both_languages() -> None:
    """With the same values; and every hint."""
    assert words.TEXTS["en"].keys() == words.TEXTS["fr"].keys()
    for key, text in words.TEXTS["en"].items():
        assert _values(text) == _values(words.TEXTS["fr"][key]), key
    for task in TASKS:
        for case in of_learners(task.number):
            assert case.hint["en"] != case.hint["fr"]
    assert words.of_the_system({"LANG": "fr_FR.UTF-8"}) == "fr"
    assert words.of_the_system({"LC_ALL": "C", "LANG": "fr_FR.UTF-8"}) == "en"
    assert words.of_the_system({}) == "en"


def _values(text: str) -> set[str]:
    return {part.partition("}")[0] for part in text.split("{")[1:]}


def test_ends_are_said_in_words() -> None:
    """Time, memory, and a process that is gone."""
    said = {
        end: show.outcome(Finding("f()", got="7", end=end), "en")
        for end in ("time", "memory", "ended")
    }
    assert said["ended"] == "the process ended here (status 7)"
    assert "time" in said["time"]
    assert "memory" in said["memory"]


def test_junit_holds_what_their_code_printed() -> None:
    """A sign that XML cannot hold is left out."""
    found = Finding("f()", "1", "'\x00\x1b[0m'", Place("auth.py", 3, "f"))
    text = show.as_junit(["mine"], [{10: Verdict(10, found)}], "en")
    assert "auth.py:3 (f)" in "".join(ET.fromstring(text).itertext())


def test_a_step_without_a_change_shows_no_rows() -> None:
    """Only the answer."""
    row = [{"id": 1}]
    told = {1: Verdict(1, steps=[Step("GET /", "200", row, row)])}
    lines = list(show.as_text(told, "en"))
    assert lines[1:] == ["       > GET /", "         answer   200"]


def test_the_form(tmp_path: Path) -> None:
    """Each remark has a command, and those that can be run mend it."""
    mine = tmp_path / "my files"
    mine.mkdir()
    (mine / "app.py").write_text(
        "from auth import _generate_uuid\n\n\n"
        "def f(a):\n    return a.auth._db._session, _generate_uuid( )"
    )
    found = form.notes(mine)
    kinds = {note.kind for note in found}
    assert kinds == {
        "first line", "executable", "last newline", "docstring", "annotation", "private", "uuid",
        "pycodestyle", "readme",
    }  # fmt: skip
    for language in words.LANGUAGES:
        assert all(note.text(language) for note in found)
    for note in found:
        if "EDITOR" not in note.command:
            subprocess.run(["bash", "-c", note.command], check=True, capture_output=True)
    left = {note.kind for note in form.notes(mine)}
    assert left == {"docstring", "annotation", "private", "uuid"}


def test_the_form_of_a_file_that_is_no_python(tmp_path: Path) -> None:
    """Its first task says so; the form has its first line."""
    (tmp_path / "app.py").write_text("#!/usr/bin/env python3\nif\n")
    (tmp_path / "README.md").write_text("")
    assert [note.kind for note in form.notes(tmp_path)] == ["executable"]


def test_the_table_of_the_page_for_teachers() -> None:
    """It shows what the command prints."""
    ann = {task.number: Verdict(task.number) for task in TASKS}
    bob = {
        number: Verdict(number, None if number in {1, 2, 5, 7, 10} else Finding("f()"))
        for number in ann
    }
    lines = list(show.as_table(["all/ann", "all/bob"], [ann, settle(bob)], "en"))
    page = (TOP / "docs" / "guide" / "teaching.md").read_text("utf-8")
    assert "\n".join(line.rstrip() for line in lines) in page


def test_the_workflow_runs_what_there_is() -> None:
    """The command of the example is one that make has, with options that it hands on."""
    workflow = (TOP / "examples" / "classroom" / "grade.yml").read_text("utf-8")
    (given,) = re.findall(r"run: make grade (.*)", workflow)
    names = set(re.findall(r"([A-Z]+)=", given))
    makefile = (TOP / "Makefile").read_text("utf-8")
    assert names == {"FOLDER", "JUNIT"}
    assert all(f"$({name})" in makefile for name in names)
