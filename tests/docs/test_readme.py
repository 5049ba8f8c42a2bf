"""Every command of README and of the documentation is run, and prints what is said."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import transcript
from tests.databases import Databases
from tests.docs import other_systems, shell
from tests.docs.pages import TOP, Page, Python, documentation, pages
from tests.ports import free_port

POSTGRESQL = "postgresql://bienvenue@localhost/bienvenue"
SHOWN = [page for page in documentation() if transcript.read(page.path)]
#: Their dozens of commands are tested one by one, with the features and the command line.
LONG = {f"docs/guide/{name}.md" for name in ("commands", "moving", "operating")}
#: What the course shows is tested there, and the reference is compared with the code.
ELSEWHERE = ("course/", "docs/reference/")
WRITTEN = [page for page in pages() if page.python() and not page.name.startswith(ELSEWHERE)]
RUN = [(page, block) for page in WRITTEN for block in page.python() if block.mark == "runs"]

#: The application of a page, where it is not that of most.
EXAMPLES = {
    "docs/guide/protect-your-views.md": "guards",
    "docs/guide/from-flask-login.md": "moving-from-flask-login/after",
}


def named(page: Page) -> str:
    """Return the name under which a page appears in the list of tests."""
    return page.name


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.thorough] * (page.name in LONG))
        for page in SHOWN
    ],
)
def test_the_console_prints_what_is_said(page: Page, tmp_path: Path, databases: Databases) -> None:
    """All blocks of a page in one shell, in an empty folder with the example's application.

    Where a page asks the service and no command of it serves, the service runs already, as after
    `make run`. A hash costs less here, which no output shows. The commands of README begin as its
    reader's do, those of other pages with the libraries loaded.
    """
    shutil.copytree(
        TOP / "examples" / EXAMPLES.get(page.name, "embed"), tmp_path, dirs_exist_ok=True
    )
    if page.name == "docs/guide/moving.md":
        other_systems.lay(tmp_path)
    port = free_port()
    replace = {":5000": f":{port}", "=5000": f"={port}", "--port 5000": f"--port {port}"}
    replace |= {".venv/bin/": "", "--port 5001": f"--port {free_port()}"}
    if POSTGRESQL in page.text:
        replace[POSTGRESQL] = databases.fresh("postgresql", migrated=False)
    commands = [step.command for step in transcript.read(page.path)]
    serves = any(command.rstrip().endswith("&") for command in commands)
    asks = any(":5000" in command for command in commands)
    env = {"BIENVENUE_PORT": str(port), "BIENVENUE_BCRYPT_COST": "10"}
    with contextlib.ExitStack() as stack:
        if page.name != "README.md":
            first = str(stack.enter_context(shell.commands()))
            env["PATH"] = os.pathsep.join(
                (first, str(Path(sys.executable).parent), os.environ["PATH"])
            )
        ran = transcript.run(
            page.path,
            tmp_path,
            env=env,
            replace=replace,
            before=f"bienvenue serve --port {port} &" if asks and not serves else "",
            port=port,
        )
    assert ran == len(commands)
    if POSTGRESQL in page.text:
        databases.drop(replace[POSTGRESQL])


def test_the_pages_that_matter_most_show_something_that_runs() -> None:
    """A page without a console block cannot be false, and helps less."""
    assert {page.name for page in SHOWN} >= {
        "README.md",
        *(f"docs/features/{name}.md" for name in ("accounts", "passwords", "sessions")),
        *(f"docs/guide/{name}.md" for name in ("commands", "embedding", "http", "operating")),
    }


def test_make_run_is_what_the_transcript_runs() -> None:
    """The transcript stands on `bienvenue serve --port`, which is all that `make run` does."""
    makefile = (TOP / "Makefile").read_text("utf-8")
    recipe = re.search(r"^run: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    assert recipe[1] == "\t@exec $(BIN)/bienvenue serve --port $(PORT)\n"
    assert "PORT ?= 5000\n" in makefile


def test_readme_opens_with_the_two_commands() -> None:
    """First what it is, then how to run it and how to test it, then everything else."""
    readme = (TOP / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)\n```$", readme, re.MULTILINE | re.DOTALL)
    assert [kind for kind, _ in blocks[:3]] == ["sh", "sh", "console"]
    assert [code for _, code in blocks[:2]] == ["make run", "make test"]


def test_every_make_target_that_is_named_exists() -> None:
    """Wherever a page says `make` and a name, the Makefile has it."""
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in pages():
        found = re.findall(r"(?:`|^)make (?:-C \.\. )?([a-z-]+)", page.text, re.MULTILINE)
        assert set(found) <= targets, page.name


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_python_is_run_or_stands_in_a_file(page: Page) -> None:
    """Every block of Python says which of the two it is."""
    for block in page.python():
        if block.mark != "runs":
            file = TOP / block.mark.removeprefix("from ")
            lines = [re.sub(r"  # noqa.*", "", line) for line in file.read_text().splitlines()]
            assert f"\n{block.code}\n" in "\n".join(["", *lines, ""]), page.name


def test_there_is_python_that_runs() -> None:
    """Else the test below would show nothing."""
    assert RUN


@pytest.mark.parametrize(("page", "block"), RUN, ids=[page.name for page, _ in RUN])
def test_python_that_runs(page: Page, block: Python, tmp_path: Path) -> None:
    """In an empty folder, on a fresh database, without an error."""
    del page
    environ = {name: value for name, value in os.environ.items() if "BIENVENUE_" not in name}
    with shell.commands() as programs:
        for command in (["bienvenue", "db", "upgrade"], ["python", "-c", block.code]):
            wanted = [str(programs / command[0]), *command[1:]]
            subprocess.run(wanted, cwd=tmp_path, env=environ, check=True)
