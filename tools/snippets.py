"""Writes functions of the service into the pages of the course that show them whole.

A comment `<!-- function NAME of FILE -->` stands before a block of Python; `make snippets` puts the
function that is in the file today into the block. A test holds each block against its file.
"""

import ast
import re
import sys
import textwrap
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
COURSE = TOP / "course"
BLOCK = re.compile(
    r"^<!-- function (?P<name>[\w.]+) of (?P<file>\S+) -->\n```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def function(path: Path, name: str) -> str:
    """Return the source of a function, `Class.method` for one of a class, without its indent.

    Raises LookupError where there is none.
    """
    source = path.read_text("utf-8")
    body = ast.parse(source).body
    *outer, last = name.split(".")
    for part in outer:
        classes = (node for node in body if isinstance(node, ast.ClassDef) and node.name == part)
        body = next((one.body for one in classes), [])
    made = (one for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
    found = next((one for one in made if one.name == last), None)
    if found is None:
        raise LookupError(f"{path}: there is no {name}")
    first = min([found.lineno, *(one.lineno for one in found.decorator_list)])
    lines = source.splitlines()[first - 1 : found.end_lineno]
    return textwrap.dedent("\n".join(lines)) + "\n"


def written(page: Path) -> str:
    """Return the text of a page with its blocks as the files have them."""

    def block(found: re.Match[str]) -> str:
        code = function(page.parent / found["file"], found["name"])
        return f"<!-- function {found['name']} of {found['file']} -->\n```python\n{code}```"

    return BLOCK.sub(block, page.read_text("utf-8"))


def main() -> None:
    """Bring every page up to date."""
    for page in sorted(COURSE.glob("*.md")):
        text = written(page)
        if text != page.read_text("utf-8"):
            page.write_text(text, "utf-8")
            sys.stdout.write(f"{page.relative_to(TOP)}\n")


if __name__ == "__main__":
    main()
