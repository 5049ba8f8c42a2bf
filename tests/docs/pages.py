"""The Markdown pages of the repository, and what stands in them."""

import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
GUIDE = TOP / "docs" / "guide"

_FENCED = re.compile(r"^(`{3,}).*?^\1$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(`+).*?\1", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PYTHON = re.compile(r"^(<!-- [^\n]* -->\n)?```python\n(.*?)\n```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Python:
    """A block of Python and the mark above it, as `runs` or `from examples/embed/app.py`."""

    mark: str
    code: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """Its path in the repository."""
        return str(self.path.relative_to(TOP))

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text("utf-8")

    @cached_property
    def prose(self) -> str:
        """What is left without blocks of code."""
        return _FENCED.sub("", self.text)

    def links(self) -> list[str]:
        """Where it leads within the repository."""
        found = _LINK.findall(_INLINE.sub("", self.prose))
        return [link for link in found if not re.match(r"[a-z]+:", link)]

    def anchors(self) -> set[str]:
        """The fragments that links to it may have, one a heading."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        plain = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading) for heading in headings]
        return {re.sub(r"[^\w\- ]", "", text).lower().replace(" ", "-") for text in plain}

    def headings(self, level: int) -> list[str]:
        """The headings of one level, in order."""
        return re.findall(rf"^#{{{level}}} (.+)$", self.prose, re.MULTILINE)

    def rows(self) -> dict[str, list[str]]:
        """The cells of every row of a table that begins with code, under that code."""
        lines = re.findall(r"^\| `([^`]+)` \|(.*)\|$", self.prose, re.MULTILINE)
        found: dict[str, list[str]] = {}
        for first, rest in lines:
            found.setdefault(first, [cell.strip() for cell in rest.split(" |")])
        return found

    def python(self) -> list[Python]:
        """Its blocks of Python."""
        return [Python(mark[5:-5], code) for mark, code in _PYTHON.findall(self.text)]


def pages() -> list[Page]:
    """Give every Markdown page that is kept, or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=TOP, check=True, capture_output=True, text=True)
    found = [TOP / name for name in sorted(set(listed.stdout.splitlines()))]
    return [Page(path) for path in found if path.exists()]


def documentation() -> list[Page]:
    """Give the pages whose blocks are run here: those of the course are run with the course."""
    return [page for page in pages() if page.name == "README.md" or page.name.startswith("docs/")]
