"""Makes the empty beginning: a folder with the four files and nothing in them yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grade.form import FIRST_LINE
from grade.sheet import FILES, TASKS
from grade.words import say

_ABOUT = {
    "user.py": "The User model.",
    "db.py": "The database of users.",
    "auth.py": "The operations: register, log in, log out, reset the password.",
    "app.py": "The Flask app.",
}


def start(folder: Path, language: str) -> Iterator[str]:
    """Make what is missing, and say what was made; nothing that is there is touched."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in [*FILES, "README.md"]:
        path = folder / name
        if path.exists():
            yield say(language, "kept", name=name)
            continue
        if name in _ABOUT:
            path.write_text(f'{FIRST_LINE}\n"""{_ABOUT[name]}"""\n', "utf-8")
            path.chmod(0o755)
        else:
            path.write_text("# User authentication service\n", "utf-8")
        made.append(name)
    if made:
        yield say(language, "started", names=", ".join(made), folder=folder)
    yield say(language, "begin", chapter=f"course/{TASKS[0].chapter.name}", folder=folder)
