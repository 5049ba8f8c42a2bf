"""Broken builds: a copy of the service with one mistake in it, made by a small patch.

The applier is strict. The lines of a hunk must stand exactly once in the file they name, so a
patch survives changes elsewhere in that file and fails loudly when the code it breaks is no
longer there, or is there twice.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "broken"
_FOUND = importlib.util.find_spec("bienvenue")
assert _FOUND is not None
assert _FOUND.origin is not None
PACKAGE = Path(_FOUND.origin).parent
_PREFIX = "src/bienvenue/"
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@.*")


class PatchFails(Exception):
    """The patch does not fit the code as it is now; write it again."""


@dataclass
class Hunk:
    """Some lines of a file, and what they become."""

    file: str
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def names() -> list[str]:
    """Name every patch of the folder."""
    return sorted(file.stem for file in FOLDER.glob("*.patch"))


def mistake(name: str) -> str:
    """Give the first line of a patch: a sentence that says which mistake it makes."""
    return (FOLDER / f"{name}.patch").read_text("utf-8").partition("\n")[0]


def read(name: str, folder: Path | None = None, prefix: str = _PREFIX) -> list[Hunk]:
    """Read a patch. Raises PatchFails when it is no unified diff of files below the prefix."""
    file = (folder or FOLDER) / f"{name}.patch"
    if not file.exists():
        raise PatchFails(f"there is no {file}")
    hunks = list(_hunks(name, iter(file.read_text("utf-8").splitlines()), prefix))
    if not hunks or any(hunk.old == hunk.new for hunk in hunks):
        raise PatchFails(f"{name} changes nothing")
    return hunks


def _hunks(name: str, lines: Iterator[str], prefix: str) -> Iterator[Hunk]:
    path = ""
    for line in lines:
        if line.startswith("+++ "):
            path = re.sub(r"^b/", "", line[4:].split("\t")[0])
            if not path.startswith(prefix):
                raise PatchFails(f"{name} changes {path}, which is not in {prefix}")
        elif found := _HUNK.fullmatch(line):
            if not path:
                raise PatchFails(f"{name}: a hunk stands before the name of its file")
            hunk = Hunk(path.removeprefix(prefix))
            olds, news = (int(found[n] or 1) for n in (1, 2))
            while len(hunk.old) < olds or len(hunk.new) < news:
                _take(hunk, next(lines, "the end"), name)
            yield hunk


def _take(hunk: Hunk, line: str, name: str) -> None:
    mark, text = (line or " ")[0], line[1:]
    if mark not in " -+":
        raise PatchFails(f"{name}: a hunk is shorter than it says")
    if mark in " -":
        hunk.old.append(text)
    if mark in " +":
        hunk.new.append(text)


def apply(name: str, package: Path, folder: Path | None = None, prefix: str = _PREFIX) -> None:
    """Apply a patch to a copy of the files. Raises PatchFails, and then changes nothing."""
    texts: dict[Path, str] = {}
    for hunk in read(name, folder, prefix):
        file = package / hunk.file
        if not file.is_file():
            raise PatchFails(f"{name} changes {hunk.file}, which is not there")
        text = texts.get(file) or "\n" + file.read_text("utf-8")
        old, new = ("\n" + "".join(f"{line}\n" for line in lines) for lines in (hunk.old, hunk.new))
        # Looking ahead counts matches that overlap too.
        times = len(re.findall(f"(?={re.escape(old)})", text))
        if times != 1:
            raise PatchFails(
                f"{name} no longer applies: these lines stand {times} times in {hunk.file}, "
                f"not once:{old}"
            )
        texts[file] = text.replace(old, new)
    for file, text in texts.items():
        file.write_text(text.removeprefix("\n"), "utf-8")


def build(name: str, folder: Path) -> Path:
    """Make a broken build in a folder; give the path to put before all others."""
    copy = folder / "src" / "bienvenue"
    shutil.copytree(PACKAGE, copy)
    apply(name, copy)
    return copy.parent
