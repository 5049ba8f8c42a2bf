"""Databases of other systems, which the guide to moving reads: each file says who made it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import TOP

FOLDER = Path(__file__).parent / "others"
PASSWORD = "une phrase de passe bien longue"


def lay(folder: Path) -> None:
    """Lay a database of every system into a folder, and the one the exercise makes itself."""
    for file in FOLDER.iterdir():
        if file.suffix == ".sql":
            with sqlite3.connect(folder / f"{file.stem}.db") as made:
                made.executescript(file.read_text("utf-8"))
            made.close()
        else:
            shutil.copy(file, folder)
    exercise = f"from auth import Auth; Auth().register_user('ann@example.com', {PASSWORD!r})"
    command = [sys.executable, "-c", f"import sys; sys.path[0] = sys.argv[1]; {exercise}"]
    subprocess.run([*command, str(TOP / "course")], cwd=folder, check=True)
