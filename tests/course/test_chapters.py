"""The chapters of the course: their code is the code, and their commands print what they say."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from grade import attack
from grade.sheet import COURSE, TASKS
from tests import transcript
from tests.docs import shell
from tests.ports import free_port
from tools import snippets

CHAPTERS = sorted(COURSE.glob("[0-9]*.md"))
ASIDE = sorted(COURSE.glob("what-*.md"))
PAGES = [*CHAPTERS, *ASIDE, COURSE / "README.md"]
EXERCISE = ("user.py", "db.py", "auth.py", "app.py")

ATTACK = re.compile(r"make -C \.\. attack FOLDER=course ONLY=(\w+)")
#: The first of the chapters that end in an attack.
FIRST_ATTACK = next(page for page in CHAPTERS if ATTACK.search(page.read_text("utf-8")))
#: The last before them, in which the whole exercise is run, by Python as the learner starts it.
WHOLE = CHAPTERS[CHAPTERS.index(FIRST_ATTACK) - 1]
BIN = Path(sys.executable).parent

INCLUDED = re.compile(r"^<!-- from (\S+) -->\n```python\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^<!-- function \S+ of \S+ -->\n```python$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!https?://)([^)#]+)(?:#[^)]*)?\)")


def named(path: Path) -> str:
    """Return the name under which a page appears in the list of tests."""
    return path.stem


@dataclass(frozen=True)
class Block:
    """A block of code in a chapter, and where it says that it comes from."""

    file: str
    lines: list[str]

    def places(self) -> list[int]:
        """Return the numbers of the lines at which these lines stand in the file."""
        source = (COURSE / self.file).read_text(encoding="utf-8").splitlines()
        starts = range(len(source) - len(self.lines) + 1)
        return [at + 1 for at in starts if source[at : at + len(self.lines)] == self.lines]


def blocks(chapter: Path) -> list[Block]:
    """Return the blocks of code that a chapter includes."""
    found = INCLUDED.findall(chapter.read_text(encoding="utf-8"))
    return [Block(file, code.split("\n")) for file, code in found]


def docstring_lines(source: str) -> set[int]:
    """Return the numbers of the lines that docstrings take."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if ast.get_docstring(node) is not None:
            lines.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


@pytest.mark.parametrize("chapter", CHAPTERS, ids=named)
def test_the_code_of_a_chapter_stands_in_the_file(chapter: Path) -> None:
    """Every Python block names its file and stands in it once, whole lines in a row."""
    included = blocks(chapter)
    text = chapter.read_text(encoding="utf-8")
    whole = FUNCTION.findall(text)
    assert len(included) + len(whole) == text.count("```python"), (
        "a block of Python does not say which file it comes from"
    )
    assert included or whole, "a chapter adds some code"
    assert snippets.written(chapter) == text, "make snippets brings the functions up to date"
    for block in included:
        assert len(block.places()) == 1, "\n".join(["not in " + block.file, *block.lines])


@pytest.mark.parametrize("file", EXERCISE)
def test_the_chapters_show_every_line(file: str) -> None:
    """Anyone who types in all chapters has the whole exercise, docstrings and blank lines apart."""
    shown: list[int] = []
    for block in (block for chapter in CHAPTERS for block in blocks(chapter)):
        if block.file == file:
            shown.extend(range(block.places()[0], block.places()[0] + len(block.lines)))
    assert len(shown) == len(set(shown)), "a line is shown twice"
    source = (COURSE / file).read_text(encoding="utf-8")
    unseen = {
        number: line
        for number, line in enumerate(source.splitlines(), 1)
        if line.strip() and number not in docstring_lines(source) and number not in shown
    }
    assert unseen == {}


@pytest.mark.parametrize(
    "chapter",
    [
        # The attacks of these are shown by tests/attacks.
        pytest.param(page, marks=[pytest.mark.thorough] * (page >= FIRST_ATTACK))
        for page in CHAPTERS
    ],
    ids=named,
)
def test_a_chapter_prints_what_it_says(chapter: Path, tmp_path: Path) -> None:
    """Every command is run in a folder like the learner's, and its output compared.

    `make attack` is run by a call of its function: a process of its own would load it all again.
    For the same reason `python` begins with the libraries loaded, but in the chapter that is last
    without an attack.
    """
    for file in COURSE.glob("*.py"):
        shutil.copy(file, tmp_path)
    port = free_port()

    def attacked(command: str) -> str | None:
        found = ATTACK.fullmatch(command)
        return None if found is None else "\n".join(attack.show(COURSE, found[1], "en"))

    # The attacks of the last chapters are those of the tests.
    env = {"PORT": str(port), "PYTHONPATH": str(COURSE.parent)}
    with contextlib.ExitStack() as stack:
        if chapter != WHOLE:
            first = stack.enter_context(shell.commands())
            env["PATH"] = os.pathsep.join(map(str, (first, BIN, os.environ["PATH"])))
        ran = transcript.run(
            chapter,
            tmp_path,
            env=env,
            replace={":5000": f":{port}"},
            port=port,
            instead=attacked,
            reads=transcript.read_pasted,
        )
    assert ran > 0, "a chapter ends with something that runs"


def test_a_stale_copy_would_be_found(tmp_path: Path) -> None:
    """One changed character, one line left out, or half a line: none of it stands in the file."""
    for code in ("class User(Basic):", "    id: Mapped[int]", "class Base(DeclarativeBase):\n\n"):
        page = tmp_path / "page.md"
        page.write_text(f"<!-- from user.py -->\n```python\n{code}\n```\n", encoding="utf-8")
        assert [block.places() for block in blocks(page)] == [[]]


def test_the_chapters_are_numbered_and_listed_in_order() -> None:
    """01, 02, 03 and so on, each with its number and title in the list of the index."""
    index = (COURSE / "README.md").read_text(encoding="utf-8")
    titles = [chapter.read_text(encoding="utf-8").splitlines()[0] for chapter in CHAPTERS]
    assert [int(chapter.name[:2]) for chapter in CHAPTERS] == [*range(1, len(CHAPTERS) + 1)]
    listed = [f"{t.removeprefix('# ')}]({c.name})" for t, c in zip(titles, CHAPTERS, strict=True)]
    expected = [re.sub(r"^(\d+\. )", r"\1[", line) for line in listed]
    assert re.findall(r"^\d+\. \[.*$", index, re.MULTILINE) == expected


def test_each_chapter_leads_to_the_next() -> None:
    """The last line of a chapter is the way on, and of the last one the way back."""
    for chapter, following in pairwise([*CHAPTERS, COURSE / "README.md"]):
        last = chapter.read_text(encoding="utf-8").splitlines()[-1]
        assert LINK.findall(last) == [following.name], chapter.name


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the repository finds that file."""
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_commands_of_the_index_exist() -> None:
    """The index names the commands of the course, and the Makefile has them."""
    index = (COURSE / "README.md").read_text(encoding="utf-8")
    makefile = (COURSE.parent / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(?:\| `)?make ([a-z-]+)", index, re.MULTILINE))
    assert targets >= {"course", "course-check", "course-attacks", "start", "grade", "attack"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("file", EXERCISE)
def test_every_file_says_how_weak_it_is(file: str) -> None:
    """Anyone who opens one file alone reads at its top what it is not for."""
    opening = ast.get_docstring(ast.parse((COURSE / file).read_text(encoding="utf-8")))
    assert opening is not None
    assert "as weak as the exercise is" in opening
    assert "not for real people's passwords" in opening


def test_the_exercise_needs_flask_sqlalchemy_and_bcrypt_and_nothing_else() -> None:
    """And the end-to-end script needs only what comes with Python."""
    for path in COURSE.glob("*.py"):
        modules: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                modules.add(node.module or "")
        names = {module.partition(".")[0] for module in modules}
        outside = names - set(sys.stdlib_module_names) - {"user", "db", "auth"}
        allowed = set() if path.name == "main.py" else {"flask", "sqlalchemy", "bcrypt"}
        assert outside <= allowed, path.name


def test_numbers_of_steps_are_counted() -> None:
    """What the index says of how many steps there are is so."""
    index = (COURSE / "README.md").read_text(encoding="utf-8")
    attacks = [page for page in CHAPTERS if ATTACK.search(page.read_text("utf-8"))]
    assert attacks == CHAPTERS[-len(attacks) :]
    counted = re.findall(r"the last (\w+) steps", index)
    assert counted
    assert set(counted) == {str(len(attacks))}
    assert f"Each of the {len(TASKS)} tasks" in index
    assert len(TASKS) == len(CHAPTERS) - len(attacks)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_blocks_can_be_pasted(page: Path) -> None:
    """No prompt stands in what one copies, and every box of output follows what prints it."""
    text = page.read_text(encoding="utf-8")
    assert "```console" not in text
    for block in re.findall(r"```sh[^\n]*\n(.*?)```", text, re.DOTALL):
        assert not re.search(r"^[$>]( |$)", block, re.MULTILINE)


@pytest.mark.parametrize("chapter", CHAPTERS[CHAPTERS.index(FIRST_ATTACK) :], ids=named)
def test_an_attack_is_typed_explained_closed_and_set_as_an_exercise(chapter: Path) -> None:
    """Every chapter of an attack has the same parts, in the same order, and tells no answer."""
    text = chapter.read_text(encoding="utf-8")
    parts = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert parts == [
        "Do it",
        "Why it wins",
        "How the service closes it",
        "Yours beside the service",
        "Close it yourself",
    ]
    typed = text.partition("## Do it")[2].partition("## Why")[0]
    assert len(re.findall(r"^```sh$", typed, re.MULTILINE)) >= 3
    for part in ("What may change:", "Which attack must lose:", "What the sheet must still say:"):
        assert part in text
    own = next(one for one in attack.chapters() if one.path == chapter)
    assert f"MENDED=1 ONLY={own.attack}" in text


@pytest.mark.parametrize("chapter", CHAPTERS[: CHAPTERS.index(FIRST_ATTACK)], ids=named)
def test_every_step_says_what_is_still_weak(chapter: Path) -> None:
    """So that the attacks are no surprise."""
    assert "## Still weak" in chapter.read_text(encoding="utf-8")


def test_a_function_is_found_by_its_name(tmp_path: Path) -> None:
    """Of a module or of a class, with its decorators; what is not there is an error."""
    file = tmp_path / "a.py"
    file.write_text(
        "class A:\n    @property\n    def b(self):\n        return 1\n\n\ndef c(): ...\n"
    )
    assert snippets.function(file, "A.b") == "@property\ndef b(self):\n    return 1\n"
    assert snippets.function(file, "c") == "def c(): ...\n"
    for name in ("A.c", "b", "D.b"):
        with pytest.raises(LookupError):
            snippets.function(file, name)
