"""An application of Flask-Login moves: its tests hold before and after, and little changes."""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import TOP

EXAMPLE = TOP / "examples" / "moving-from-flask-login"
MOST = 15
QUERY = "SELECT id AS flask_login_id, email, password_hash FROM users"
IMPORT = ["bienvenue", "users", "import", "sqlite:///instance/library.db", "--query", QUERY]


def run(folder: Path, *command: str) -> str:
    """Run a command of the application."""
    environ = {name: value for name, value in os.environ.items() if "BIENVENUE_" not in name}
    environ |= {"BIENVENUE_BASE_URL": "http://localhost", "BIENVENUE_BCRYPT_COST": "4"}
    environ |= {"PYTHONPATH": str(folder), "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def flask(folder: Path, *command: str) -> str:
    """Run a command of Flask."""
    return run(folder, "flask", "--app", "library", *command)


def check(folder: Path) -> None:
    """Run the application's own tests."""
    shutil.copy(EXAMPLE / "test_library.py", folder)
    assert "7 passed" in run(folder, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")


def code(version: str) -> dict[str, list[str]]:
    """Return the lines of each file that are not empty."""
    folder = EXAMPLE / version
    files = [path for path in folder.rglob("*") if path.suffix in {".py", ".html"}]
    return {
        str(path.relative_to(folder)): [
            line for line in path.read_text("utf-8").splitlines() if line
        ]
        for path in files
    }


def test_few_lines_change() -> None:
    """What is added and what is taken away, together."""
    before, after = code("before"), code("after")
    assert before.keys() == after.keys()
    changed = [
        line
        for name, lines in before.items()
        for line in difflib.unified_diff(lines, after[name], n=0)
        if line[0] in "+-" and line[:3] not in {"+++", "---"}
    ]
    assert 0 < len(changed) <= MOST, "".join(changed)


@pytest.mark.thorough
def test_it_works_before_and_after(tmp_path: Path) -> None:
    """With the same database, whose people are imported; a second import changes nothing."""
    before, after = tmp_path / "before", tmp_path / "after"
    shutil.copytree(EXAMPLE / "before", before)
    flask(before, "people")
    check(before)
    shutil.copytree(EXAMPLE / "after", after)
    shutil.copytree(before / "instance", after / "instance")
    flask(after, "bienvenue", "db", "upgrade")
    assert "4 created" in flask(after, *IMPORT)
    check(after)
    assert "4 unchanged" in flask(after, *IMPORT)
