"""The form of the four files, apart from what they do: what a school's sheet asks of every file."""

from __future__ import annotations

import ast
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grade.sheet import FILES

FIRST_LINE = "#!/usr/bin/env python3"
#: Columns that pycodestyle allows.
WIDTH = 79
RUFF = Path(sys.executable).parent / "ruff"

_WHAT = {
    "first line": {
        "en": f"the first line is not {FIRST_LINE}",
        "fr": f"la première ligne n'est pas {FIRST_LINE}",
    },
    "executable": {"en": "it is not executable", "fr": "il n'est pas exécutable"},
    "last newline": {
        "en": "the last line has no newline at its end",
        "fr": "la dernière ligne ne finit pas par un retour à la ligne",
    },
    "docstring": {"en": "{what} has no docstring", "fr": "{what} n'a pas de docstring"},
    "annotation": {
        "en": "{what}: annotate the arguments and what it returns",
        "fr": "{what} : annotez les arguments et le retour",
    },
    "pycodestyle": {"en": "pycodestyle {what}", "fr": "pycodestyle {what}"},
    "private": {
        "en": "only public methods of _db may be used, and {what} is private",
        "fr": "seules les méthodes publiques de _db sont permises, et {what} est privé",
    },
    "uuid": {
        "en": "_generate_uuid is private to auth.py and must not be used here",
        "fr": "_generate_uuid est propre à auth.py et ne doit pas servir ici",
    },
    "readme": {"en": "the folder has no README.md", "fr": "le dossier n'a pas de README.md"},
}


@dataclass(frozen=True)
class Note:
    """One remark, and the command that mends it or shows where."""

    kind: str
    file: str
    line: int
    command: str
    what: str = ""

    def text(self, language: str) -> str:
        """Say it in a language."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {_WHAT[self.kind][language].format(what=self.what)}"


def notes(folder: Path) -> list[Note]:
    """Return what there is to remark on the form of the files of a folder."""
    found = [note for file in FILES if (folder / file).is_file() for note in _of(folder, file)]
    if not (folder / "README.md").is_file():
        path = shlex.quote(str(folder / "README.md"))
        found.append(Note("readme", "README.md", 0, f"echo '# User authentication' > {path}"))
    return found


def _of(folder: Path, file: str) -> Iterator[Note]:
    path = folder / file
    quoted = shlex.quote(str(path))
    source = path.read_text("utf-8", "replace")
    if source.split("\n", 1)[0].rstrip("\r") != FIRST_LINE:
        # Not `sed -i`, which is another command on a Mac; not `mv`, which drops permissions.
        shown = f"printf '%s\\n' '{FIRST_LINE}' | cat - {quoted} > {quoted}.new"
        yield Note(
            "first line", file, 1, f"{shown} && cat {quoted}.new > {quoted} && rm {quoted}.new"
        )
    if not os.access(path, os.X_OK):
        yield Note("executable", file, 0, f"chmod +x {quoted}")
    if source and not source.endswith("\n"):
        last = len(source.splitlines())
        yield Note("last newline", file, last, f"echo >> {quoted}")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return  # its first task says so, with the line
    yield from _documented(file, quoted, tree)
    yield from _private(file, quoted, tree)
    yield from _styled(path, quoted)


def _documented(file: str, quoted: str, tree: ast.Module) -> Iterator[Note]:
    if ast.get_docstring(tree) is None:
        yield Note("docstring", file, 1, f"${{EDITOR:-nano}} +1 {quoted}", file)
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        edit = f"${{EDITOR:-nano}} +{node.lineno} {quoted}"
        if ast.get_docstring(node) is None:
            yield Note("docstring", file, node.lineno, edit, node.name)
        if not isinstance(node, ast.ClassDef) and not _annotated(node):
            yield Note("annotation", file, node.lineno, edit, node.name)


def _annotated(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether every argument has a type, but for self and ``*args``, and the return too."""
    plain = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    bare = [one.arg for one in plain if one.annotation is None and one.arg not in {"self", "cls"}]
    return not bare and node.returns is not None


def _private(file: str, quoted: str, tree: ast.Module) -> Iterator[Note]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name, inner = node.attr, node.value
            of_db = isinstance(inner, ast.Attribute) and inner.attr == "_db"
            if of_db and name.startswith("_"):
                edit = f"${{EDITOR:-nano}} +{node.lineno} {quoted}"
                yield Note("private", file, node.lineno, edit, name)
        else:
            name = str(getattr(node, "id", None) or getattr(node, "name", ""))
        if name == "_generate_uuid" and file != "auth.py":
            line = getattr(node, "lineno", 1)
            yield Note("uuid", file, line, f"${{EDITOR:-nano}} +{line} {quoted}")


def _styled(path: Path, quoted: str) -> Iterator[Note]:
    """Give what pycodestyle would say, as ruff finds it: its rules E and W."""
    chosen = ["--isolated", "--preview", "--select", "E,W", "--line-length", str(WIDTH)]
    done = subprocess.run(
        [RUFF, "check", "--quiet", "--no-cache", *chosen, "--output-format", "json", path],
        capture_output=True,
        text=True,
        check=False,
    )
    mend = f"{RUFF} format --isolated --line-length {WIDTH} {quoted}"
    for one in json.loads(done.stdout or "[]"):
        line = one["location"]["row"]
        long = one["code"] == "E501"
        command = f"${{EDITOR:-nano}} +{line} {quoted}" if long else mend
        yield Note("pycodestyle", path.name, line, command, f"{one['code']} {one['message']}")
